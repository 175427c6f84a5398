import type { LoopKernel } from './kernel.ts';
import { keyOf, type Position } from './position.ts';
import { outputIndices, type Program, type Value } from './program.ts';
import { loadsOf } from './scalars.ts';

/** One step of a plan, as far as memory goes. */
export interface MemoryTask {
  /** Each once. */
  readonly reads: readonly Value[];
  readonly writes: readonly Value[];
  /** Whether it looks up elements by indices, which may turn out to be out of range. */
  readonly looksUp: boolean;
  /** Where the step is a loop kernel, what it loads and stores in detail. */
  readonly kernel?: LoopKernel | undefined;
}

/** What is found out of a kernel once, however many others are like it. */
interface Memory {
  readonly reads: readonly Value[];
  readonly writes: readonly Value[];
  readonly looksUp: boolean;
  /** What it stores and loads again, in order, and what the last stage that loads it could overwrite it with in place. */
  readonly reloaded: readonly { readonly value: Value; readonly by: Value }[];
}

const memories = new WeakMap<LoopKernel, Memory>();

function memoryOfPattern(kernel: LoopKernel): Memory {
  const known = memories.get(kernel);
  if (known !== undefined) return known;
  const { stages } = kernel;
  const loads = stages.map(({ scalar }) => new Set(loadsOf(scalar).map(({ from }) => from)));
  const stored = stages.filter(({ store }) => store !== undefined);
  const memory: Memory = {
    reads: [...new Set(loads.flatMap((own) => [...own]))],
    writes: stored.map(({ value }) => value),
    looksUp: stages.some(({ scalar }) => loadsOf(scalar).some(({ kind }) => kind === 'lookup')),
    reloaded: stored.flatMap(({ value, store }) => {
      const last = stages.findLast((_, i) => loads[i]?.has(value) === true);
      const fits =
        last?.kind === 'map' &&
        last.store !== undefined &&
        last.value.dtype === value.dtype &&
        keyOf(last.store) === keyOf(store as Position);
      return fits ? [{ value, by: last.value }] : [];
    }),
  };
  memories.set(kernel, memory);
  return memory;
}

/** What a kernel loads, and what it stores. */
export function memoryOf(kernel: LoopKernel): Pick<MemoryTask, 'reads' | 'writes' | 'looksUp'> {
  const { like } = kernel;
  const { reads, writes, looksUp } = memoryOfPattern(like?.pattern ?? kernel);
  return like === undefined
    ? { reads, writes, looksUp }
    : { reads: reads.map(like.valueOf), writes: writes.map(like.valueOf), looksUp };
}

/** How many steps there are up to the last that looks something up. A run with an index out of range goes no further. */
export const lookupSteps = (tasks: readonly MemoryTask[]): number => tasks.findLastIndex(({ looksUp }) => looksUp) + 1;

/** Instead of the number of a task. */
const none = -1;

/**
 * Finds, for every output, the leaves whose buffers it could be written to: those of as many bytes that are last read in an
 * earlier step, or in the very step that writes the output, if each element is read before it is overwritten; and that
 * `suits` finds suitable. What is written while an index may still be out of range takes over none: a run that is refused
 * leaves everything as it was.
 */
export function findReuse(
  program: Program,
  tasks: readonly MemoryTask[],
  bytesOf: (value: Value) => number,
  suits: (leaf: Value, output: Value) => boolean = () => true,
): Reuse {
  // By the number of a value: the last task that reads it, and the first and last ones that write it.
  const [lastRead, first, last] = Array.from({ length: 3 }, () => new Int32Array(program.values.length).fill(none)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  tasks.forEach(({ reads, writes }, i) => {
    for (const { id } of reads) lastRead[id] = i;
    for (const { id } of writes) {
      if (first[id] === none) first[id] = i;
      last[id] = i;
    }
  });
  const outputs = outputIndices(program);
  const leaves = new Map<number, Value[]>();
  for (const leaf of program.values) {
    if (leaf.primitive !== 'leaf' || outputs.has(leaf)) continue;
    const bytes = bytesOf(leaf);
    const alike = leaves.get(bytes);
    if (alike === undefined) leaves.set(bytes, [leaf]);
    else alike.push(leaf);
  }
  const lookups = lookupSteps(tasks);
  const takers = program.outputs.map((output, i) => {
    const written = first[output.id] as number;
    if (written === none || written < lookups || outputs.get(output) !== i) return [];
    const slots: number[] = [];
    for (const leaf of leaves.get(bytesOf(output)) ?? []) {
      const read = lastRead[leaf.id] as number;
      const isFree =
        read < written ||
        (read === written && last[output.id] === written && overwritesInPlace(tasks[written]?.kernel, leaf, output));
      if (isFree && suits(leaf, output)) slots.push(leaf.slot);
    }
    return slots;
  });
  return new Reuse(takers);
}

/** Which leaves' buffers the outputs of a program take over, once they are given up. */
export class Reuse {
  /** For each output, the leaves (by slot) that nobody reads any more when it is written. */
  readonly #takers: readonly (readonly number[])[];
  /** The slots that occur there, and what was last found for those that were given up: most often it is asked for again. */
  readonly #slots: readonly number[];
  #last: { readonly given: readonly boolean[]; readonly taken: readonly (number | undefined)[] } | undefined;

  constructor(takers: readonly (readonly number[])[]) {
    this.#takers = takers;
    const slots = new Set<number>();
    for (const choice of takers) for (const slot of choice) slots.add(slot);
    this.#slots = [...slots];
  }

  /** Gives each output the buffer of a leaf that is given up, where there is one; each buffer once. */
  assign(isGiven: (slot: number) => boolean): readonly (number | undefined)[] {
    const given = this.#slots.map(isGiven);
    const last = this.#last;
    if (last?.given.every((one, i) => one === given[i])) return last.taken;
    const free = new Set(this.#slots.filter((_, i) => given[i]));
    const taken = this.#takers.map((): number | undefined => undefined);
    // Those that have the least choice choose first.
    for (const [output, choice] of [...this.#takers.entries()].sort(([, a], [, b]) => a.length - b.length)) {
      const slot = choice.find((one) => free.has(one));
      if (slot === undefined) continue;
      free.delete(slot);
      taken[output] = slot;
    }
    this.#last = { given, taken };
    return taken;
  }
}

/** Whether a kernel loads a leaf only where, and not after, it stores the output. */
function overwritesInPlace(kernel: LoopKernel | undefined, leaf: Value, output: Value): boolean {
  if (kernel?.like !== undefined) {
    const [from, to] = [leaf, output].map(kernel.like.originalOf);
    return from !== undefined && to !== undefined && overwritesInPlace(kernel.like.pattern, from, to);
  }
  if (kernel === undefined || kernel.stages.some(({ pass }) => pass > 0)) return false;
  const storing = kernel.stages.findIndex(({ value }) => value === output);
  const store = kernel.stages[storing]?.store;
  if (store === undefined || kernel.stages[storing]?.kind !== 'map') return false;
  return kernel.stages.every(({ scalar }, i) =>
    loadsOf(scalar).every(
      (load) => load.from !== leaf || (i <= storing && load.kind === 'load' && keyOf(load.position) === keyOf(store)),
    ),
  );
}

/**
 * Values that a kernel makes in one walk only to read them in a later one, and the value that may overwrite each: the
 * last one made from it, element by element at the same place. Softmax keeps its exponentials where its result goes.
 */
export function findShadows(kernel: LoopKernel, escapes: (value: Value) => boolean): Map<Value, Value> {
  const shadows = new Map<Value, Value>();
  const taken = new Set<Value>();
  const own = kernel.like?.valueOf ?? ((value: Value): Value => value);
  for (const { value, by } of memoryOfPattern(kernel.like?.pattern ?? kernel).reloaded) {
    if (escapes(own(value)) || shadows.has(own(by)) || taken.has(own(by))) continue;
    shadows.set(own(value), own(by));
    taken.add(own(by));
  }
  return shadows;
}

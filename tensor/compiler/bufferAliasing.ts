import type { LoopKernel } from './kernel.ts';
import { keyOf, type Position } from './position.ts';
import { outputIndices, type Program, type Value } from './program.ts';
import { loadsOf } from './scalars.ts';

/** The memory that one task of a plan uses. */
export interface MemoryTask {
  /** Distinct values. */
  readonly reads: readonly Value[];
  readonly writes: readonly Value[];
  /** Whether it looks up elements by indices, which may be out of range. */
  readonly looksUp: boolean;
  /** The loops of the task, if it has any. */
  readonly kernel?: LoopKernel | undefined;
}

/** The memory that a kernel and all its instances use. */
interface KernelMemory {
  readonly reads: readonly Value[];
  readonly writes: readonly Value[];
  readonly looksUp: boolean;
  /** Values that the kernel stores and loads again, each with the value that the last stage to load it stores in its place. */
  readonly reloaded: readonly { readonly value: Value; readonly by: Value }[];
}

const known = new WeakMap<LoopKernel, KernelMemory>();

function memoryOfPattern(kernel: LoopKernel): KernelMemory {
  const existing = known.get(kernel);
  if (existing !== undefined) return existing;
  const { stages } = kernel;
  const loads = stages.map(({ scalar }) => new Set(loadsOf(scalar).map(({ from }) => from)));
  const stored = stages.filter(({ store }) => store !== undefined);
  const memory: KernelMemory = {
    reads: [...new Set(loads.flatMap((ofStage) => [...ofStage]))],
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
  known.set(kernel, memory);
  return memory;
}

/** The values that a kernel loads and stores. */
export function memoryOf(kernel: LoopKernel): Pick<MemoryTask, 'reads' | 'writes' | 'looksUp'> {
  const { instance } = kernel;
  const { reads, writes, looksUp } = memoryOfPattern(instance?.pattern ?? kernel);
  return instance === undefined
    ? { reads, writes, looksUp }
    : { reads: reads.map(instance.valueOf), writes: writes.map(instance.valueOf), looksUp };
}

/** The number of tasks up to the last that looks something up. A run with an index out of range may stop after them. */
export const lookupTasks = (tasks: readonly MemoryTask[]): number => tasks.findLastIndex(({ looksUp }) => looksUp) + 1;

/** In place of a task's number. */
const none = -1;

/**
 * Finds, for each output, the leaves whose buffers it may overwrite: leaves of as many bytes, for which `suits` returns true,
 * that are last read by an earlier task than the one that writes the output; or by the same task, if it reads each element
 * before it overwrites it. Outputs that are written while an index may still turn out to be out of range overwrite nothing,
 * so that a run that fails leaves all leaves intact.
 */
export function findAliasing(
  program: Program,
  tasks: readonly MemoryTask[],
  bytesOf: (value: Value) => number,
  suits: (leaf: Value, output: Value) => boolean = () => true,
): BufferAliasing {
  // By the number of a value: the last task that reads it, and the first and the last task that write it.
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
  const lookups = lookupTasks(tasks);
  const candidates = program.outputs.map((output, i) => {
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
  return new BufferAliasing(candidates);
}

/** Which outputs of a program may be written to the buffers of which donated leaves. */
export class BufferAliasing {
  /** For each output, the slots of the leaves that it may overwrite. */
  readonly #candidates: readonly (readonly number[])[];
  /** All slots that occur there. */
  readonly #slots: readonly number[];
  /** The last assignment, with what was donated then: successive runs mostly donate the same leaves. */
  #last: { readonly donated: readonly boolean[]; readonly assigned: readonly (number | undefined)[] } | undefined;

  constructor(candidates: readonly (readonly number[])[]) {
    this.#candidates = candidates;
    const slots = new Set<number>();
    for (const choice of candidates) for (const slot of choice) slots.add(slot);
    this.#slots = [...slots];
  }

  /** For each output, the slot of the donated leaf whose buffer it overwrites, if any; each leaf is used at most once. */
  assign(isDonated: (slot: number) => boolean): readonly (number | undefined)[] {
    const donated = this.#slots.map(isDonated);
    const last = this.#last;
    if (last?.donated.every((one, i) => one === donated[i])) return last.assigned;
    const free = new Set(this.#slots.filter((_, i) => donated[i]));
    const assigned = this.#candidates.map((): number | undefined => undefined);
    // Outputs with the fewest candidates choose first.
    for (const [output, choice] of [...this.#candidates.entries()].sort(([, a], [, b]) => a.length - b.length)) {
      const slot = choice.find((one) => free.has(one));
      if (slot === undefined) continue;
      free.delete(slot);
      assigned[output] = slot;
    }
    this.#last = { donated, assigned };
    return assigned;
  }
}

/** Whether a kernel loads each element of a leaf only at the position of the output's element, and not after storing that. */
function overwritesInPlace(kernel: LoopKernel | undefined, leaf: Value, output: Value): boolean {
  if (kernel?.instance !== undefined) {
    const { pattern, originalOf } = kernel.instance;
    const [from, to] = [originalOf(leaf), originalOf(output)];
    return from !== undefined && to !== undefined && overwritesInPlace(pattern, from, to);
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
 * Values that a kernel stores in one walk only to load them in a later one, each with the value that may share its buffer:
 * the last one computed from it, element by element at the same position. Softmax stores its exponentials where its result
 * will be. `escapes` tells which values other kernels read.
 */
export function sharedBuffers(kernel: LoopKernel, escapes: (value: Value) => boolean): Map<Value, Value> {
  const shared = new Map<Value, Value>();
  const used = new Set<Value>();
  const { pattern, valueOf } = kernel.instance ?? { pattern: kernel, valueOf: (value: Value): Value => value };
  for (const { value, by } of memoryOfPattern(pattern).reloaded) {
    const [intermediate, result] = [valueOf(value), valueOf(by)];
    if (escapes(intermediate) || shared.has(result) || used.has(result)) continue;
    shared.set(intermediate, result);
    used.add(result);
  }
  return shared;
}

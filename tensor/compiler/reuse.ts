import type { LoopKernel } from './kernel.ts';
import { keyOf } from './position.ts';
import type { Program, Value } from './program.ts';
import { loadsOf } from './scalars.ts';

/** One step of a plan, as far as memory goes. */
export interface MemoryTask {
  readonly reads: ReadonlySet<Value>;
  readonly writes: readonly Value[];
  /** Where the step is a loop kernel, what it loads and stores in detail. */
  readonly kernel?: LoopKernel | undefined;
}

/** Which leaves' buffers an output may take over, once they are given up. */
export interface Reuse {
  /** For each output of a program, the leaves (by slot) that nobody reads any more when it is written. */
  readonly takers: readonly ReadonlySet<number>[];
}

/**
 * Finds, for every output, the leaves whose buffers it could be written to: those that are last read in an earlier step,
 * or in the very step that writes the output, if each element is read before it is overwritten.
 */
export function findReuse(program: Program, tasks: readonly MemoryTask[]): Reuse {
  const lastRead = new Map<Value, number>();
  const writer = new Map<Value, number[]>();
  tasks.forEach(({ reads, writes }, i) => {
    for (const value of reads) lastRead.set(value, i);
    for (const value of writes) writer.set(value, [...(writer.get(value) ?? []), i]);
  });
  const leaves = program.values.filter((value) => value.primitive === 'leaf' && !program.outputs.includes(value));
  const takers = program.outputs.map((output, i) => {
    const [first, ...more] = writer.get(output) ?? [];
    if (first === undefined || program.outputs.indexOf(output) !== i) return new Set<number>();
    const fits = leaves.filter((leaf) => {
      const last = lastRead.get(leaf) ?? -1;
      return (
        last < first || (last === first && more.length === 0 && overwritesInPlace(tasks[first]?.kernel, leaf, output))
      );
    });
    return new Set(fits.map(({ slot }) => slot));
  });
  return { takers };
}

/** Whether a kernel loads a leaf only where, and not after, it stores the output. */
function overwritesInPlace(kernel: LoopKernel | undefined, leaf: Value, output: Value): boolean {
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
 * Gives each output the buffer of a leaf that is given up, where one fits; each buffer once. `sizes` are in bytes, and
 * `donated` says which leaves are given up.
 */
export function assignReuse(
  { takers }: Reuse,
  outputBytes: readonly number[],
  leafBytes: (slot: number) => number,
  donated: (slot: number) => boolean,
): (number | undefined)[] {
  const taken = new Set<number>();
  const slots = takers.map((): number | undefined => undefined);
  // Those that have the least choice choose first.
  for (const [output, choice] of [...takers.entries()].sort(([, a], [, b]) => a.size - b.size)) {
    for (const slot of choice) {
      if (taken.has(slot) || !donated(slot) || leafBytes(slot) !== outputBytes[output]) continue;
      taken.add(slot);
      slots[output] = slot;
      break;
    }
  }
  return slots;
}

/**
 * Values that a kernel makes in one walk only to read them in a later one, and the value that may overwrite each: the
 * last one made from it, element by element at the same place. Softmax keeps its exponentials where its result goes.
 */
export function findShadows(kernel: LoopKernel, escapes: (value: Value) => boolean): Map<Value, Value> {
  const shadows = new Map<Value, Value>();
  for (const { value, store } of kernel.stages) {
    if (store === undefined || escapes(value)) continue;
    const last = kernel.stages.findLast(({ scalar }) => loadsOf(scalar).some((load) => load.from === value));
    const fits =
      last?.kind === 'map' &&
      last.store !== undefined &&
      last.value.dtype === value.dtype &&
      keyOf(last.store) === keyOf(store) &&
      !shadows.has(last.value) &&
      ![...shadows.values()].includes(last.value);
    if (fits) shadows.set(value, last.value);
  }
  return shadows;
}

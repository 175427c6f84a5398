import { type BufferAliasing, findAliasing, lookupTasks } from '../compiler/bufferAliasing.ts';
import { outputIndices, type Program, type Value } from '../compiler/program.ts';
import type { KernelReport } from '../device.ts';
import { roundTo } from '../dtype.ts';
import { formatShape } from '../shape.ts';
import { planTasks, type Task, type TaskOptions } from './tasks.ts';
import { type Kernel, type KernelNumber, type Place, placeBytes, typeOf } from './wgsl/shader.ts';

/** Memory that a run chooses: a leaf's buffer, an output's, one of the plan's own, or the report. */
export type Spot =
  | { readonly kind: 'leaf'; readonly slot: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'slot'; readonly index: number }
  | { readonly kind: 'report' };

export interface PlannedKernel {
  readonly kernel: Kernel;
  /** Which of the plan's tasks it is part of. */
  readonly task: number;
  /** Where each of its bindings is. */
  readonly spots: readonly Spot[];
  /** Where its numbers are in the block of all numbers, in bytes. */
  readonly numbersAt: number;
}

/** A program as kernels that run one after another, and the memory that they need. */
export interface Plan {
  readonly kernels: readonly PlannedKernel[];
  /** How many of them there are up to the last that looks something up; only those after may overwrite leaves. */
  readonly lookupKernels: number;
  readonly reports: readonly KernelReport[];
  /** Sizes of the buffers that hold what only lives during a run, each several values in turn. */
  readonly slots: readonly Slot[];
  /** For errors, what writes each output. */
  readonly owners: readonly string[];
  readonly numberBytes: number;
  /** The largest piece of memory that a kernel uses. */
  readonly largest: { readonly bytes: number; readonly owner: string };
}

/** A buffer that holds several values in turn, and for errors the kernel that first writes to it. */
export interface Slot {
  bytes: number;
  readonly owner: string;
}

/** For each output, the slot of the leaf whose buffer it takes over, if it takes one. */
export type Taken = readonly (number | undefined)[];

/** What is known of a program before it is known which leaves' buffers its outputs take over. */
export interface Draft {
  readonly aliasing: BufferAliasing;
  /** Gathers and scatters, which may find an index out of range; each has a word in the report. */
  readonly indexed: readonly Value[];
  /**
   * The outputs that, with these buffers taken over, are written where the kernel that writes them reads; other takeovers
   * change no kernel. Equal for equal plans.
   */
  inPlace(taken: Taken): string;
  plan(taken: Taken): Plan;
}

/** Blocks of numbers begin where every adapter allows a binding to begin. */
const blockAlignment = 256;

/** Compiles a program to shaders. */
export function draftPlan(program: Program, options: TaskOptions): Draft {
  const indexed = program.values.filter(({ primitive }) => primitive === 'gather' || primitive === 'scatterAdd');
  const tasks = planTasks(program, indexed, options);
  const leaves = new Map(program.values.flatMap((value) => (value.primitive === 'leaf' ? [[value.slot, value]] : [])));
  const writer = new Map(tasks.flatMap((task) => task.writes.map((value) => [value, task])));
  /** Whether a takeover makes a kernel write what it reads. */
  const meet = (leaf: Value, output: Value): boolean => writer.get(output)?.reads.includes(leaf) ?? false;
  // A kernel sees a buffer once, so only as elements of one type, and other invocations must not read what one writes.
  const aliasing = findAliasing(
    program,
    tasks,
    placeBytes,
    (leaf, output) =>
      !meet(leaf, output) || (writer.get(output)?.mayOverwrite(leaf) === true && leaf.dtype === output.dtype),
  );
  const meeting = (taken: Taken): [Value, Value][] =>
    taken.flatMap((slot, i): [Value, Value][] => {
      const [leaf, output] = [leaves.get(slot ?? -1), program.outputs[i]];
      return leaf !== undefined && output !== undefined && meet(leaf, output) ? [[leaf, output]] : [];
    });
  return {
    aliasing,
    indexed,
    inPlace: (taken) =>
      meeting(taken)
        .map(([leaf, output]) => `${leaf.id}>${output.id}`)
        .join(),
    plan: (taken) => {
      const places = meeting(taken);
      const inPlace = (task: Task): ReadonlyMap<Place, Place> | undefined => {
        const own = places.filter(([, output]) => writer.get(output) === task);
        return own.length > 0 ? new Map(own) : undefined;
      };
      return assemble(program, tasks, (task) => task.kernels(inPlace(task)));
    },
  };
}

function assemble(program: Program, tasks: readonly Task[], kernelsOf: (task: Task) => readonly Kernel[]): Plan {
  const ofTask = tasks.flatMap((task, index) => kernelsOf(task).map((kernel) => ({ kernel, task: index })));
  const kernels = ofTask.map(({ kernel }) => kernel);
  const { slotOf, slots } = placeValues(kernels, new Set(program.outputs));
  // Of equal outputs, the first is written and copied.
  const outputAt = outputIndices(program);
  const spotOf = (place: Place): Spot => {
    if ('primitive' in place) {
      const index = outputAt.get(place);
      if (place.primitive === 'leaf') return { kind: 'leaf', slot: place.slot };
      if (index !== undefined) return { kind: 'output', index };
    } else if (place.kind === 'report') return { kind: 'report' };
    return { kind: 'slot', index: slotOf.get(place) as number };
  };
  let numberBytes = 0;
  const writers = new Map<Place, Kernel>();
  const planned = ofTask.map(({ kernel, task }): PlannedKernel => {
    const numbersAt = numberBytes;
    numberBytes += Math.ceil((4 * kernel.numbers.length) / blockAlignment) * blockAlignment;
    for (const { place, access } of kernel.bindings) if (access === 'write') writers.set(place, kernel);
    return { kernel, task, spots: kernel.bindings.map(({ place }) => spotOf(place)), numbersAt };
  });
  const owners = program.outputs.map((output) => nameOf(writers.get(output)));
  const reports = tasks.map(({ report }) => report);
  const lookups = lookupTasks(tasks);
  const lookupKernels = planned.filter(({ task }) => task < lookups).length;
  return { kernels: planned, lookupKernels, reports, slots, owners, numberBytes, largest: largestOf(kernels) };
}

/** How errors name a kernel. */
const nameOf = (kernel: Kernel | undefined): string =>
  kernel === undefined ? 'a copy' : `the kernel '${kernel.label}'`;

function largestOf(kernels: readonly Kernel[]): Plan['largest'] {
  let largest = { bytes: 0, owner: '' };
  for (const kernel of kernels) {
    for (const { place, access } of kernel.bindings) {
      const bytes = placeBytes(place);
      if (bytes <= largest.bytes) continue;
      const what = 'primitive' in place ? `${place.dtype}${formatShape(place.shape)}` : 'memory';
      largest = { bytes, owner: `${what} that ${nameOf(kernel)} ${access}s` };
    }
  }
  return largest;
}

/**
 * Assigns a slot to each value and scratch that lives only during a run. A slot that is free again is reused, and enlarged
 * if need be. `wasm` has its own version, which finds offsets in one block of memory.
 */
function placeValues(kernels: readonly Kernel[], outputs: ReadonlySet<Place>) {
  const last = new Map<Place, number>();
  kernels.forEach(({ bindings }, i) => {
    for (const { place } of bindings) last.set(place, i);
  });
  const slots: Slot[] = [];
  const free = new Set<number>();
  const slotOf = new Map<Place, number>();
  const sizeAt = (slot: number): number => (slots[slot] as Slot).bytes;
  const isOwn = (place: Place): boolean =>
    !outputs.has(place) && ('primitive' in place ? place.primitive !== 'leaf' : place.kind === 'scratch');
  kernels.forEach((kernel, i) => {
    for (const { place } of kernel.bindings) {
      if (!isOwn(place) || slotOf.has(place)) continue;
      const bytes = placeBytes(place);
      const bySize = [...free].sort((a, b) => sizeAt(a) - sizeAt(b));
      const slot =
        bySize.find((one) => sizeAt(one) >= bytes) ?? bySize.at(-1) ?? slots.push({ bytes, owner: nameOf(kernel) }) - 1;
      (slots[slot] as Slot).bytes = Math.max(sizeAt(slot), bytes);
      free.delete(slot);
      slotOf.set(place, slot);
    }
    for (const { place } of kernel.bindings) {
      const slot = slotOf.get(place);
      if (slot !== undefined && last.get(place) === i) free.add(slot);
    }
  });
  return { slotOf, slots };
}

/** The words of all kernels' numbers, for one run. */
export function numbersOf({ kernels, numberBytes }: Plan, scalars: readonly number[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(numberBytes / 4);
  const float = new Float32Array(words.buffer);
  const write = (number: KernelNumber, at: number): void => {
    if (number.kind === 'bits') {
      words[at] = number.bits;
      return;
    }
    const value = roundTo(number.dtype, scalars[number.slot] as number);
    if (typeOf(number.dtype) === 'f32') float[at] = value;
    else words[at] = value;
  };
  for (const { kernel, numbersAt } of kernels) {
    kernel.numbers.forEach((number, i) => {
      write(number, numbersAt / 4 + i);
    });
  }
  return words;
}

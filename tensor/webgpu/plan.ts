import { shapeLoops } from '../compiler/loops.ts';
import type { Program, Value } from '../compiler/program.ts';
import { schedule } from '../compiler/schedule.ts';
import { roundTo } from '../dtype.ts';
import { sizeOf } from '../shape.ts';
import { contractionKernels } from './contractions/index.ts';
import { stepKernels } from './steps/index.ts';
import { deviceBytes } from './transfers.ts';
import { loopKernel } from './wgsl/loopCode.ts';
import type { Kernel, KernelNumber, Place } from './wgsl/shader.ts';
import { typeOf } from './wgsl/shader.ts';

/** Memory that a run chooses: a leaf's buffer, an output's, one of the plan's own, or the report. */
export type Spot =
  | { readonly kind: 'leaf'; readonly slot: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'slot'; readonly index: number }
  | { readonly kind: 'report' };

export interface PlannedKernel {
  readonly kernel: Kernel;
  /** Where each of its bindings is. */
  readonly spots: readonly Spot[];
  /** Where its numbers are in the block of all numbers, in bytes. */
  readonly numbersAt: number;
}

/** A program as kernels that run one after another, and the memory that they need. */
export interface Plan {
  readonly kernels: readonly PlannedKernel[];
  /** Sizes of the buffers that hold what only lives during a run, each several values in turn. */
  readonly slots: readonly number[];
  readonly numberBytes: number;
  /** Gathers and scatters that may find an index out of range; each has a word in the report. */
  readonly indexed: readonly Value[];
}

export interface PlanOptions {
  /** Whether the adapter is a CPU. */
  readonly software: boolean;
  readonly fuse: boolean;
}

/** Blocks of numbers begin where every adapter allows a binding to begin. */
const blockAlignment = 256;

const bytesOf = (place: Place): number =>
  'primitive' in place ? deviceBytes(place.dtype, sizeOf(place.shape)) : place.kind === 'scratch' ? place.bytes : 0;

/** Compiles a program to shaders. */
export function compilePlan(program: Program, { software, fuse }: PlanOptions): Plan {
  // With what a kernel writes and the report, this keeps to the eight storage buffers that every adapter has.
  const { kernels: scheduled, buffers } = schedule(program, { mostLoads: 6, fuse });
  const indexed: Value[] = [];
  const reportNumber = (value: Value): number =>
    indexed.includes(value) ? indexed.indexOf(value) : indexed.push(value) - 1;
  const kernels = scheduled.flatMap((one) => {
    if (one.kind === 'loops') return [loopKernel(shapeLoops(one), { software, reportNumber })];
    return one.value.primitive === 'matmul' || one.value.primitive === 'conv'
      ? contractionKernels(one.value, buffers, { software })
      : stepKernels(one.value, { reportNumber });
  });

  const { slotOf, slots } = placeValues(kernels, new Set(program.outputs));
  const spotOf = (place: Place): Spot => {
    if ('primitive' in place) {
      const index = program.outputs.indexOf(place);
      if (place.primitive === 'leaf') return { kind: 'leaf', slot: place.slot };
      if (index >= 0) return { kind: 'output', index };
    } else if (place.kind === 'report') return { kind: 'report' };
    return { kind: 'slot', index: slotOf.get(place) as number };
  };
  let numberBytes = 0;
  const planned = kernels.map((kernel): PlannedKernel => {
    const numbersAt = numberBytes;
    numberBytes += Math.ceil((4 * kernel.numbers.length) / blockAlignment) * blockAlignment;
    return { kernel, spots: kernel.bindings.map(({ place }) => spotOf(place)), numbersAt };
  });
  return { kernels: planned, slots, numberBytes, indexed };
}

/** Gives what lives only during a run a slot; one that is free again is taken by what comes later, and grows if need be. */
function placeValues(kernels: readonly Kernel[], outputs: ReadonlySet<Place>) {
  const last = new Map<Place, number>();
  kernels.forEach(({ bindings }, i) => {
    for (const { place } of bindings) last.set(place, i);
  });
  const slots: number[] = [];
  const free = new Set<number>();
  const slotOf = new Map<Place, number>();
  const isOwn = (place: Place): boolean =>
    !outputs.has(place) && ('primitive' in place ? place.primitive !== 'leaf' : place.kind === 'scratch');
  kernels.forEach(({ bindings }, i) => {
    for (const { place } of bindings) {
      if (!isOwn(place) || slotOf.has(place)) continue;
      const bytes = bytesOf(place);
      const fits = [...free].filter((slot) => (slots[slot] as number) >= bytes);
      const smallest = fits.sort((a, b) => (slots[a] as number) - (slots[b] as number))[0];
      const largest = [...free].sort((a, b) => (slots[b] as number) - (slots[a] as number))[0];
      const slot = smallest ?? largest ?? slots.push(0) - 1;
      slots[slot] = Math.max(slots[slot] as number, bytes);
      free.delete(slot);
      slotOf.set(place, slot);
    }
    for (const { place } of bindings) {
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

import type { Attributes } from '../primitives.ts';
import { type Shape, sameShape, sizeOf } from '../shape.ts';
import { chooseBuffers } from './buffers.ts';
import { operatorCost } from './cost.ts';
import { chooseEpilogues, type Epilogue, noEpilogues } from './epilogues.ts';
import { buildKernel, type Group, type Loops, loopsOf, lowerValue, type Space, spaceOf } from './group.ts';
import type { LoopKernel, Scalar } from './kernel.ts';
import { kernelInstances } from './kernelInstances.ts';
import { shapeLoops } from './loops.ts';
import { type Lowering, lowering } from './lower.ts';
import { orderedUnion } from './orderedUnion.ts';
import { type Position, samePosition } from './position.ts';
import { isReduction, joinsMany } from './primitiveKinds.ts';
import type { Program, Value } from './program.ts';
import { allParts, loadsOf } from './scalars.ts';
import { operandViewsOf } from './stridedViews.ts';
import { emptyStructuralId, type StructuralId, structuralIds } from './structuralId.ts';

/** A contraction, argMax, cumsum, argSort or scatterAdd: a kernel of its own, which reads and writes memory. */
export interface Step {
  readonly kind: 'step';
  readonly value: Value;
  /** A map that a contraction applies to its elements before it stores them. */
  readonly epilogue?: LoopKernel;
}

/** The kernels of a program, in the order in which they run. */
export interface Schedule {
  /** The values that are stored in memory. */
  readonly buffers: ReadonlySet<Value>;
  readonly kernels: readonly (LoopKernel | Step)[];
}

export interface ScheduleOptions {
  /** How many buffers one kernel may load at most. */
  readonly mostLoads: number;
  /** Whether operators share kernels; default true. Otherwise each has its own kernel, which helps to find a wrong one. */
  readonly fuse?: boolean;
  /** Whether f32 contractions read f16 and bf16 operands directly instead of an f32 copy of them; default false. */
  readonly widening?: boolean;
  /** Whether contractions apply the elementwise operators that follow them before they store; default false. */
  readonly epilogues?: boolean;
  /**
   * Whether a walk along rows also computes expensive functions of values that it has just made; default true. A processor
   * with a reorder window of some hundred instructions runs two loops faster than one with so long a chain for each element.
   */
  readonly longChains?: boolean;
}

/** A group that values may still join. */
interface OpenGroup extends Group {
  id: StructuralId;
  /** Its values, lowered. Made only where no group with the same id has answered whether a value may join. */
  walk?: Walk | undefined;
}

/** A group's values, lowered inside one set of loops. */
interface Walk {
  readonly loops: Loops;
  readonly element: Lowering;
  /** Whether the group has a reduction; positions of its values depend on that and on its shape. */
  readonly reducing: boolean;
  readonly longChains: boolean;
  /** The position at which the walk has just computed each value. */
  readonly made: Map<Value, Position>;
}

/** Shorter rows are not worth an inner loop of their own. */
const shortestRow = 16;
/** Fewer rows than `fewRows` do not keep several threads busy; if they are longer than `longRow`, no row kernel is made. */
const fewRows = 8;
const longRow = 16384;

/** In place of a group's number: no group, or more than one. */
const none = -1;
const several = -2;

/**
 * Groups the stored values of a program into kernels. In the order of the program, each value joins the latest of the last
 * twelve groups that reads the same values or makes one of its inputs, if one kernel can compute both; else it opens a group.
 */
export function schedule(program: Program, options: ScheduleOptions): Schedule {
  const { mostLoads, fuse = true, widening = false, longChains = true } = options;
  const chosen = fuse ? chooseBuffers(program, mostLoads, widening) : new Set(program.values);
  const { buffers, epilogues } =
    fuse && options.epilogues ? chooseEpilogues(program, chosen, mostLoads, widening) : noEpilogues(chosen);
  const needs = dependencies(program, buffers, widening);
  const groups: OpenGroup[] = [];
  const limits = { mostLoads, longChains };
  const extend = structuralIds(program, (value) => buffers.has(value));
  /** By structural id: whether one kernel can compute such a group. */
  const fitting = new Map<number, boolean>();
  /** By the number of a value: the group that makes it. */
  const madeBy = new Int32Array(program.values.length).fill(none);

  for (const value of program.values) {
    if (!buffers.has(value) || value.primitive === 'leaf' || sizeOf(value.shape) === 0) continue;
    if (joinsMany(value)) {
      const { axis } = value.attributes as Attributes['concat'];
      let start = 0;
      for (const from of value.inputs) {
        const piece = { from, start };
        const { shape } = from;
        if (sizeOf(shape) > 0)
          groups.push({ shape, split: 0, values: [value], reads: [], step: false, piece, id: emptyStructuralId });
        start += from.shape[axis] as number;
      }
      madeBy[value.id] = groups.length - 1;
      continue;
    }
    const space = epilogues.has(value) ? undefined : spaceOf(value);
    if (space === undefined) {
      madeBy[value.id] = groups.length;
      const { shape } = value;
      groups.push({ shape, split: 0, values: [value], reads: [], step: true, id: emptyStructuralId });
      continue;
    }
    const required = needs[value.id] ?? [];
    let earliest = none;
    for (const { id } of required) earliest = Math.max(earliest, madeBy[id] as number);
    let joined: OpenGroup | undefined;
    for (let i = groups.length - 1; fuse && i >= Math.max(earliest, 0, groups.length - 12); i--) {
      const group = groups[i] as OpenGroup;
      if (group.step || group.piece !== undefined) continue;
      if (i !== earliest && !required.some((input) => group.reads.includes(input))) continue;
      const id = extend(group.id, value);
      const known = fitting.get(id.number);
      const walk = known === undefined ? joinedWalk(group, value, space, buffers, limits, required) : undefined;
      fitting.set(id.number, known ?? walk !== undefined);
      if (walk === undefined && known !== true) continue;
      joined = group;
      madeBy[value.id] = i;
      group.walk = walk;
      group.id = id;
      break;
    }
    if (joined === undefined) {
      const { shape, split } = space;
      const id = extend(emptyStructuralId, value);
      madeBy[value.id] = groups.length;
      groups.push({ shape, split, values: [value], reads: required, step: false, id });
      continue;
    }
    if (space.reduces && joined.values.every((other) => !isReduction(other))) {
      joined.shape = space.shape;
      joined.split = space.split;
    }
    joined.reads = [...joined.reads, ...addedReads(joined, required)];
    joined.values.push(value);
  }

  return { buffers, kernels: kernelsOf(program, groups, buffers, epilogues, needs, madeBy) };
}

/** The kernels of groups, in order. Groups with the same structural id that store the same values are built once. */
function kernelsOf(
  program: Program,
  groups: readonly OpenGroup[],
  buffers: ReadonlySet<Value>,
  epilogues: ReadonlyMap<Value, Epilogue>,
  needs: readonly (readonly Value[])[],
  madeBy: Int32Array,
): (LoopKernel | Step)[] {
  const outputs = new Set(program.outputs);
  /** By the number of a value: the one group that reads it. */
  const readers = new Int32Array(program.values.length).fill(none);
  for (const { id } of program.values) {
    const group = madeBy[id] as number;
    if (group === none) continue;
    for (const input of needs[id] ?? []) {
      const other = readers[input.id];
      readers[input.id] = other === none || other === group ? group : several;
    }
  }
  const escapes = (value: Value, group: number): boolean => {
    const reader = readers[value.id];
    return outputs.has(value) || (reader !== none && reader !== group);
  };
  /** Makes instances of the first kernel of each kind. */
  const patterns = new Map<string, ReturnType<typeof kernelInstances>>();
  return groups.map((group, i): LoopKernel | Step => {
    const [first] = group.values as [Value, ...Value[]];
    if (group.step) {
      const epilogue = epilogues.get(first);
      return epilogue === undefined
        ? { kind: 'step', value: first }
        : { kind: 'step', value: epilogue.contraction, epilogue: epilogue.map };
    }
    const stored = group.values.map((value) => escapes(value, i));
    const build = () =>
      shapeLoops(buildKernel(group, buffers, (value) => stored[group.values.indexOf(value)] === true));
    if (group.piece !== undefined) return build();
    const key = `${group.id.number} ${stored.map(Number).join('')}`;
    const instanceOn = patterns.get(key);
    if (instanceOn !== undefined) return instanceOn(group.id.values);
    const kernel = build();
    patterns.set(key, kernelInstances(kernel, group.id.values));
    return kernel;
  });
}

/** By the number of a value: the stored values that it is computed from, or that a barrier puts before it. */
function dependencies(program: Program, buffers: ReadonlySet<Value>, widening: boolean): (readonly Value[])[] {
  const hasBuffer = (value: Value): boolean => buffers.has(value);
  const below = new Array<readonly Value[]>(program.values.length);
  const union = orderedUnion(program.values, (input) =>
    hasBuffer(input) ? [input] : (below[input.id] as readonly Value[]),
  );
  for (const value of program.values) {
    const operands = operandViewsOf(value, hasBuffer, widening);
    below[value.id] = union(
      operands.length > 0 ? [...value.inputs, ...operands.map(({ from }) => from)] : value.inputs,
    );
  }
  return below;
}

/** Whether two reductions have inputs of the same shape and reduce the same axes. */
function reducesAlike(a: Value, b: Value): boolean {
  const axesOf = ({ attributes }: Value): readonly number[] => (attributes as Attributes['sum']).axes;
  const shapeOf = ({ inputs }: Value): Shape => (inputs as readonly [Value])[0].shape;
  return sameShape(shapeOf(a), shapeOf(b)) && sameShape(axesOf(a), axesOf(b));
}

/** The required values that a group neither makes nor reads yet. */
const addedReads = ({ values, reads }: Group, required: readonly Value[]): readonly Value[] =>
  required.filter((input) => !values.includes(input) && !reads.includes(input));

/** The walk of a group that a value has joined, or `undefined` if one kernel cannot compute both. */
function joinedWalk(
  group: OpenGroup,
  value: Value,
  space: Space,
  buffers: ReadonlySet<Value>,
  { mostLoads, longChains }: Required<Pick<ScheduleOptions, 'mostLoads' | 'longChains'>>,
  required: readonly Value[],
): Walk | undefined {
  if (group.reads.length + addedReads(group, required).length + group.values.length + 1 > mostLoads) return undefined;
  const reducing = group.values.some(isReduction);
  const rows = sizeOf(group.shape.slice(0, group.split));
  const length = sizeOf(group.shape.slice(group.split));
  if (space.reduces && !space.trailing) {
    // Sums down the same columns, such as the gradients of a normalisation's scale and shift, share one walk.
    const alike = group.values.every((other) => !isReduction(other) || reducesAlike(other, value));
    if (!reducing || !alike || required.some((input) => group.values.includes(input))) return undefined;
  } else if (space.reduces) {
    const [ownRows, ownLength] = [sizeOf(space.shape.slice(0, space.split)), sizeOf(space.shape.slice(space.split))];
    if (ownLength < shortestRow || (ownRows < fewRows && ownLength > longRow)) return undefined;
    if (reducing ? rows !== ownRows || length !== ownLength : rows * length !== ownRows * ownLength) return undefined;
    if (reducing && !group.values.every((other) => !isReduction(other) || spaceOf(other)?.trailing)) return undefined;
  } else {
    const size = sizeOf(value.shape);
    if (!reducing && size !== rows * length) return undefined;
    if (reducing && size !== rows && size !== rows * length) return undefined;
    if (reducing && !group.values.every((other) => !isReduction(other) || spaceOf(other)?.trailing)) {
      // Such a reduction's rows are not rows of memory, so only values with one element per row can join.
      if (size !== rows) return undefined;
    }
    if (
      reducing &&
      size === rows * length &&
      size !== rows &&
      (length < shortestRow || (rows < fewRows && length > longRow))
    )
      return undefined;
  }
  const shape = space.reduces ? space.shape : group.shape;
  const split = space.reduces ? space.split : group.split;
  const trial: Group = { ...group, shape, split, values: [...group.values, value] };
  const { walk } = group;
  const reduces = trial.values.some(isReduction);
  const fits =
    walk !== undefined && walk.reducing === reduces && shape.join() === group.shape.join() && split === group.split;
  if (fits) return addToWalk(walk, trial, value) ? walk : undefined;
  const again: Walk = {
    loops: loopsOf(trial),
    element: lowering((other) => buffers.has(other)),
    reducing: reduces,
    longChains,
    made: new Map(),
  };
  return trial.values.every((own) => addToWalk(again, trial, own)) ? again : undefined;
}

/** Whether a scalar applies a function that takes as long as tens of simple operations. */
const isExpensive = (scalar: Scalar): boolean =>
  [...allParts(scalar)].some((part) => part.kind === 'apply' && operatorCost(part.operator) >= operatorCost('exp'));

/**
 * Adds a value to those that a walk makes, and returns true, if it loads each of them only at the position at which the walk
 * has just computed it.
 */
function addToWalk({ loops, element, made, reducing, longChains }: Walk, group: Group, value: Value): boolean {
  const { scalar, position, over } = lowerValue(group, loops, value, element);
  const rows = sizeOf(group.shape.slice(0, group.split));
  const mustBreak = !longChains && reducing && over === 'inner' && isExpensive(scalar);
  for (const load of loadsOf(scalar)) {
    const place = made.get(load.from);
    if (mustBreak && place !== undefined && sizeOf(load.from.shape) !== rows) return false;
    if (place !== undefined && (load.kind !== 'load' || !samePosition(load.position, place))) return false;
  }
  // Masked parts may be computed lane by lane, which cannot read what another stage holds in a vector.
  for (const part of allParts(scalar)) {
    if (part.kind === 'masked' && loadsOf(part).some((load) => made.has(load.from))) return false;
  }
  made.set(value, position);
  return true;
}

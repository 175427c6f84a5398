import type { Attributes } from '../primitives.ts';
import { type Shape, sameShape, sizeOf } from '../shape.ts';
import { chooseBuffers } from './buffers.ts';
import { operatorCost } from './cost.ts';
import { chooseEpilogues, type Epilogue, noEpilogues } from './epilogues.ts';
import { buildKernel, type Group, type Loops, loopsOf, lowerValue, type Space, spaceOf } from './group.ts';
import type { LoopKernel, Scalar } from './kernel.ts';
import { kernelsLike } from './kernelInstances.ts';
import { shapeLoops } from './loops.ts';
import { type Lowering, lowering } from './lower.ts';
import { unions } from './orderedUnion.ts';
import { type Position, samePosition } from './position.ts';
import { isReduction, joinsMany } from './primitiveKinds.ts';
import type { Program, Value } from './program.ts';
import { allParts, loadsOf } from './scalars.ts';
import { operandViewsOf } from './stridedViews.ts';
import { type Likeness, likenesses, noLikeness } from './structuralId.ts';

/** A value that is computed by a step of its own, from memory to memory. */
export interface Step {
  readonly kind: 'step';
  readonly value: Value;
  /** What a contraction stores in its place, as a map that loads it. */
  readonly epilogue?: LoopKernel;
}

export interface Schedule {
  readonly buffers: ReadonlySet<Value>;
  readonly kernels: readonly (LoopKernel | Step)[];
}

export interface ScheduleOptions {
  /** How many different buffers one kernel may load. */
  readonly mostLoads: number;
  /** Whether operators share kernels (the default); without, each has its own, which helps to find a wrong one. */
  readonly fuse?: boolean;
  /** Whether contractions in f32 read halves themselves, where they would read a copy of them in f32. */
  readonly widening?: boolean;
  /** Whether contractions store what is made of their elements one by one. */
  readonly epilogues?: boolean;
  /**
   * Whether a walk along rows also computes expensive functions of what it has just made (the default). A processor
   * that looks ahead some hundred instructions does two loops sooner than one of as long a chain for each element.
   */
  readonly longChains?: boolean;
}

/** A group while values may still join it. */
interface OpenGroup extends Group {
  likeness: Likeness;
  /** What its values are at the place where its loops are; made when it is not known whether another value may join. */
  walk?: Walk | undefined;
}

/** A group's values, lowered in one set of loops. */
interface Walk {
  readonly loops: Loops;
  readonly element: Lowering;
  /** Whether the group reduces, on which its values' positions depend, as they do on its shape. */
  readonly reducing: boolean;
  readonly longChains: boolean;
  /** Where each value has just been made. */
  readonly made: Map<Value, Position>;
}

/** Rows shorter than this are not worth a loop of their own inside a row kernel. */
const shortestRow = 16;
/** Fewer rows than this do not keep several threads busy, so long ones are not turned into row kernels. */
const fewRows = 8;
const longRow = 16384;

const product = sizeOf;

/** Instead of the number of a group. */
const none = -1;
const several = -2;

/** Orders a program into kernels and says what each computes. */
export function schedule(program: Program, options: ScheduleOptions): Schedule {
  const { mostLoads, fuse = true, widening = false, longChains = true } = options;
  const chosen = fuse ? chooseBuffers(program, mostLoads, widening) : new Set(program.values);
  const { buffers, epilogues } =
    fuse && options.epilogues ? chooseEpilogues(program, chosen, mostLoads, widening) : noEpilogues(chosen);
  const needs = dependencies(program, buffers, widening);
  const groups: OpenGroup[] = [];
  const limits = { mostLoads, longChains };
  const extend = likenesses(program, (value) => buffers.has(value));
  /** Whether groups of some likeness fit in one kernel, where that has been found out. */
  const fitting = new Map<number, boolean>();
  /** The group that makes each value, by the value's number. */
  const madeBy = new Int32Array(program.values.length).fill(none);

  for (const value of program.values) {
    if (!buffers.has(value) || value.primitive === 'leaf' || sizeOf(value.shape) === 0) continue;
    if (joinsMany(value)) {
      const { axis } = value.attributes as Attributes['concat'];
      let start = 0;
      for (const from of value.inputs) {
        const piece = { from, start };
        if (sizeOf(from.shape) > 0)
          groups.push({
            ...{ shape: from.shape, split: 0, values: [value], reads: [], step: false, piece },
            likeness: noLikeness,
          });
        start += from.shape[axis] as number;
      }
      madeBy[value.id] = groups.length - 1;
      continue;
    }
    const space = epilogues.has(value) ? undefined : spaceOf(value);
    if (space === undefined) {
      madeBy[value.id] = groups.length;
      groups.push({ shape: value.shape, split: 0, values: [value], reads: [], step: true, likeness: noLikeness });
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
      const likeness = extend(group.likeness, value);
      const known = fitting.get(likeness.number);
      const walk = known === undefined ? joinedWalk(group, value, space, buffers, limits, required) : undefined;
      fitting.set(likeness.number, known ?? walk !== undefined);
      if (walk === undefined && known !== true) continue;
      joined = group;
      madeBy[value.id] = i;
      group.walk = walk;
      group.likeness = likeness;
      break;
    }
    if (joined === undefined) {
      const [{ shape, split }, likeness] = [space, extend(noLikeness, value)];
      madeBy[value.id] = groups.length;
      groups.push({ shape, split, values: [value], reads: required, step: false, likeness });
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

/** The kernels of groups, in their order; each kind of group is built once. */
function kernelsOf(
  program: Program,
  groups: readonly OpenGroup[],
  buffers: ReadonlySet<Value>,
  epilogues: ReadonlyMap<Value, Epilogue>,
  needs: readonly (readonly Value[])[],
  madeBy: Int32Array,
): (LoopKernel | Step)[] {
  const outputs = new Set(program.outputs);
  /** The one group that reads each value, by the value's number. */
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
  /** Makes the kernels like the first one of its kind. */
  const patterns = new Map<string, ReturnType<typeof kernelsLike>>();
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
    const key = `${group.likeness.number} ${stored.map(Number).join('')}`;
    const like = patterns.get(key);
    if (like !== undefined) return like(group.likeness.names);
    const kernel = build();
    patterns.set(key, kernelsLike(kernel, group.likeness.names));
    return kernel;
  });
}

/** For every value, by its number, those with buffers that it is computed from, or that a barrier puts before it. */
function dependencies(program: Program, buffers: ReadonlySet<Value>, widening: boolean): (readonly Value[])[] {
  const hasBuffer = (value: Value): boolean => buffers.has(value);
  const below = new Array<readonly Value[]>(program.values.length);
  const union = unions(program.values, (input) => (hasBuffer(input) ? [input] : (below[input.id] as readonly Value[])));
  for (const value of program.values) {
    const operands = operandViewsOf(value, hasBuffer, widening);
    below[value.id] = union(
      operands.length > 0 ? [...value.inputs, ...operands.map(({ from }) => from)] : value.inputs,
    );
  }
  return below;
}

/** Whether two reductions have inputs of one shape, and reduce the same axes. */
function reducesAlike(a: Value, b: Value): boolean {
  const axesOf = ({ attributes }: Value): readonly number[] => (attributes as Attributes['sum']).axes;
  const shapeOf = ({ inputs }: Value): Shape => (inputs as readonly [Value])[0].shape;
  return sameShape(shapeOf(a), shapeOf(b)) && sameShape(axesOf(a), axesOf(b));
}

/** Which values that are needed a group neither makes nor reads yet. */
const addedReads = ({ values, reads }: Group, required: readonly Value[]): readonly Value[] =>
  required.filter((input) => !values.includes(input) && !reads.includes(input));

/** Where a group's values are made if a value joins them, or `undefined` where it cannot. */
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
  const rows = product(group.shape.slice(0, group.split));
  const length = product(group.shape.slice(group.split));
  if (space.reduces && !space.trailing) {
    // What is added up down the same columns, as the gradients of a normalisation's scale and shift are, needs one walk.
    const alike = group.values.every((other) => !isReduction(other) || reducesAlike(other, value));
    if (!reducing || !alike || required.some((input) => group.values.includes(input))) return undefined;
  } else if (space.reduces) {
    const [ownRows, ownLength] = [product(space.shape.slice(0, space.split)), product(space.shape.slice(space.split))];
    if (ownLength < shortestRow || (ownRows < fewRows && ownLength > longRow)) return undefined;
    if (reducing ? rows !== ownRows || length !== ownLength : rows * length !== ownRows * ownLength) return undefined;
    if (reducing && !group.values.every((other) => !isReduction(other) || spaceOf(other)?.trailing)) return undefined;
  } else {
    const size = product(value.shape);
    if (!reducing && size !== rows * length) return undefined;
    if (reducing && size !== rows && size !== rows * length) return undefined;
    if (reducing && !group.values.every((other) => !isReduction(other) || spaceOf(other)?.trailing)) {
      // Rows of such a reduction are not rows of memory; only what follows it row by row can join.
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
  if (fits) return makeLocally(walk, trial, value) ? walk : undefined;
  const again: Walk = {
    loops: loopsOf(trial),
    element: lowering((other) => buffers.has(other)),
    reducing: reduces,
    longChains,
    made: new Map(),
  };
  return trial.values.every((own) => makeLocally(again, trial, own)) ? again : undefined;
}

/** Whether a function is in it that takes as long as tens of simple operations. */
const isExpensive = (scalar: Scalar): boolean =>
  [...allParts(scalar)].some((part) => part.kind === 'apply' && operatorCost(part.operator) >= operatorCost('exp'));

/**
 * Adds a value to those that a walk makes, if every load of one of them is at the very place where it has just been made;
 * says whether it is.
 */
function makeLocally({ loops, element, made, reducing, longChains }: Walk, group: Group, value: Value): boolean {
  const { scalar, position, over } = lowerValue(group, loops, value, element);
  const rows = sizeOf(group.shape.slice(0, group.split));
  const mustBegin = !longChains && reducing && over === 'inner' && isExpensive(scalar);
  for (const load of loadsOf(scalar)) {
    const place = made.get(load.from);
    if (mustBegin && place !== undefined && sizeOf(load.from.shape) !== rows) return false;
    if (place !== undefined && (load.kind !== 'load' || !samePosition(load.position, place))) return false;
  }
  // Masked parts may be computed lane by lane, where what another stage holds in a vector cannot be reached.
  for (const part of allParts(scalar)) {
    if (part.kind === 'masked' && loadsOf(part).some((load) => made.has(load.from))) return false;
  }
  made.set(value, position);
  return true;
}

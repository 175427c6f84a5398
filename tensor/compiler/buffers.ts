import { isHalf } from '../dtype.ts';
import type { Attributes } from '../primitives.ts';
import { type Shape, sameShape, stridesOf } from '../shape.ts';
import { lowering } from './lower.ts';
import { unions } from './orderedUnion.ts';
import { at, variable } from './position.ts';
import type { Program, Value } from './program.ts';

const views: ReadonlySet<string> = new Set([
  'reshape',
  'permute',
  'broadcastTo',
  'slice',
  'flip',
  'pad',
  'concat',
  'barrier',
]);
const sources: ReadonlySet<string> = new Set(['constant', 'iota']);
/** Each is a step of its own, which reads its inputs from memory and writes its output there. */
const steps: ReadonlySet<string> = new Set([
  'matmul',
  'conv',
  'attention',
  'attentionGradient',
  'argMax',
  'cumsum',
  'argSort',
  'scatterAdd',
]);
/** Steps that read their inputs with any strides. */
const contractions: ReadonlySet<string> = new Set(['matmul', 'conv', 'attention', 'attentionGradient']);
const reductions: ReadonlySet<string> = new Set(['sum', 'max']);
/** What is neither elementwise nor any of these. */
const others: ReadonlySet<string> = new Set([...sources, 'leaf', 'gather']);

/**
 * Joining more pieces than this is done piece by piece, each with a kernel of its own, instead of by choosing among all.
 * With the result and a report of bad indices these are eight buffers, as many as every GPU lets a kernel have.
 */
const fewPieces = 6;

export const joinsMany = ({ primitive, inputs }: Value): boolean => primitive === 'concat' && inputs.length > fewPieces;
export const isView = ({ primitive }: Value): boolean => views.has(primitive);
export const isStep = ({ primitive }: Value): boolean => steps.has(primitive);
export const isContraction = ({ primitive }: Value): boolean => contractions.has(primitive);
export const isReduction = ({ primitive }: Value): boolean => reductions.has(primitive);
/** Whether each element is made of the elements at the same place. */
export const isElementwise = (value: Value): boolean =>
  !others.has(value.primitive) && !isView(value) && !isStep(value) && !isReduction(value);

/** Rough costs of computing an element again, in simple operations; what is not listed is simple. */
const costs: Readonly<Record<string, number>> = {
  exp: 15,
  expm1: 20,
  log: 20,
  log1p: 25,
  sin: 25,
  cos: 25,
  tanh: 20,
  sigmoid: 20,
  softplus: 40,
  erf: 25,
  pow: 80,
  remainder: 80,
  threefry: 100,
  sqrt: 6,
  div: 5,
  gather: 10,
  pad: 4,
  concat: 4,
};

/** What computing an operator's element costs, in simple operations. */
export const operatorCost = (primitive: string): number => costs[primitive] ?? 1;

/** An expression above this is stored when it is used twice or repeated by a broadcast, rather than computed again. */
const cheap = 8;
/** An expression above this is stored in any case, to bound the size of kernels. */
const large = 400;

/** For every value, by its number, the distinct values that use it. */
export function usersOf({ values }: Program): readonly (readonly Value[])[] {
  const users = values.map((): Value[] => []);
  for (const value of values)
    value.inputs.forEach((input, i) => {
      if (value.inputs.indexOf(input) === i) users[input.id]?.push(value);
    });
  return users;
}

/** How many different values use each, by its number. */
function countUsers({ values }: Program): Int32Array {
  const counts = new Int32Array(values.length);
  for (const { inputs } of values)
    for (let i = 0; i < inputs.length; i++) {
      const { id } = inputs[i] as Value;
      if (inputs.indexOf(inputs[i] as Value) === i) counts[id] = (counts[id] as number) + 1;
    }
  return counts;
}

/**
 * Which values get a buffer: leaves, outputs, results of reductions and steps, what a step needs to find in memory, and
 * what would cost too much to compute more than once. Everything else dissolves into the kernels that use it. With
 * `widening`, contractions read halves where they are, rather than a copy in f32.
 */
export function chooseBuffers(program: Program, mostLoads: number, widening = false): Set<Value> {
  const users = countUsers(program);
  const buffers = new Set<Value>(program.outputs);
  const hasBuffer = (value: Value): boolean => buffers.has(value);
  const cost = new Float64Array(program.values.length);
  const costOf = (value: Value): number => (hasBuffer(value) ? 1 : (cost[value.id] as number));
  const loads = new Array<readonly Value[]>(program.values.length);
  /** What values with these inputs load, themselves not being stored. */
  const loadsOf = unions(program.values, (input) =>
    hasBuffer(input) ? [input] : (loads[input.id] as readonly Value[]),
  );
  /** Gives a buffer to what a view shows, or to the view itself where it joins several. */
  const store = (value: Value): void => {
    if (hasBuffer(value) || sources.has(value.primitive)) return;
    const single = isView(value) && value.primitive !== 'concat' && value.primitive !== 'pad';
    if (single) store(value.inputs[0] as Value);
    else buffers.add(value);
  };

  for (const value of program.values) {
    const { primitive, inputs } = value;
    if (primitive === 'leaf' || isStep(value) || isReduction(value) || joinsMany(value)) buffers.add(value);
    if (isStep(value) && !isContraction(value)) {
      for (const input of inputs) buffers.add(input);
    } else if (primitive === 'gather') {
      buffers.add(inputs[0] as Value);
    } else if (
      primitive === 'broadcastTo' &&
      costOf(inputs[0] as Value) > cheap &&
      !sameShape(value.shape, (inputs[0] as Value).shape)
    ) {
      store(inputs[0] as Value);
    }
    const needed = primitive === 'barrier' ? inputs.slice(0, 1) : inputs;
    let together = loadsOf(needed);
    if (together.length > mostLoads && !joinsMany(value)) {
      for (const input of needed) if (loadsOf([input]).length > 1) store(input);
      together = loadsOf(needed);
    }
    loads[value.id] = together;
    const own = sources.has(primitive) || (isView(value) && !(primitive in costs)) ? 0 : (costs[primitive] ?? 1);
    cost[value.id] = own + needed.reduce((sum, input) => sum + costOf(input), 0);
    const isShared = (users[value.id] as number) > 1;
    if (costOf(value) > large || (costOf(value) > cheap && isShared)) store(value);
  }
  // What is stored for one contraction may be a copy of halves that another one would read as they are.
  for (let count = -1; count !== buffers.size; ) {
    count = buffers.size;
    for (const value of program.values)
      for (const { from } of operandViewsOf(value, hasBuffer, widening)) buffers.add(from);
  }
  return buffers;
}

/** How a contraction reads its inputs; nothing for other values. */
export const operandViewsOf = (
  value: Value,
  hasBuffer: (value: Value) => boolean,
  widening: boolean,
): readonly StridedView[] =>
  isContraction(value)
    ? value.inputs.map((input) => operandView(widening ? unwidened(input, hasBuffer) : input))
    : noOperands;

const noOperands: readonly StridedView[] = [];

/** The halves behind a value that is only their copy in f32, and not in memory; else the value. */
function unwidened(value: Value, hasBuffer: (value: Value) => boolean): Value {
  const [from] = value.inputs;
  const widens = value.primitive === 'cast' && value.dtype === 'f32' && from !== undefined && isHalf(from.dtype);
  return widens && !hasBuffer(value) ? from : value;
}

/** A buffer seen with a constant stride along every axis, 0 where that has one element. Strides and offset are in elements. */
export interface StridedView {
  readonly from: Value;
  readonly strides: readonly number[];
  readonly offset: number;
}

const knownViews = new WeakMap<Value, StridedView>();

/**
 * How contractions read a value: as a strided view of what is stored for it. That is decided by what the value is made of
 * alone, and not by what happens to be stored for other reasons, because the order in which a contraction adds up
 * depends on how its operands lie: so it gives the same whatever else is computed.
 */
function operandView(value: Value): StridedView {
  const known = knownViews.get(value);
  if (known !== undefined) return known;
  const view = viewOfInput(value) ?? { from: value, strides: wholeStrides(value.shape), offset: 0 };
  knownViews.set(value, view);
  return view;
}

/** A view of one value as a view of what that is a view of, if it moves with constant strides there. */
function viewOfInput(value: Value): StridedView | undefined {
  if (!isView(value) || value.primitive === 'pad' || value.primitive === 'concat' || value.shape.includes(0))
    return undefined;
  const [input] = value.inputs as readonly [Value, ...Value[]];
  const { from } = operandView(input);
  // The rest of what is computed may not be needed.
  if (value.primitive === 'slice' && !(from.primitive === 'leaf' || isStep(from) || isReduction(from)))
    return undefined;
  return stridedView(value, from);
}

const wholeStrides = (shape: Shape): number[] =>
  stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));

/** The strided view of a value that another one is, if it is one. */
function stridedView(value: Value, whole: Value): StridedView | undefined {
  if (value === whole) return { from: value, strides: wholeStrides(value.shape), offset: 0 };
  if (value.primitive === 'permute') {
    const view = stridedView(value.inputs[0] as Value, whole);
    const { axes } = value.attributes as Attributes['permute'];
    return view && { ...view, strides: axes.map((axis) => view.strides[axis] as number) };
  }
  const loops = value.shape.map((size) => variable(size));
  const scalar = lowering((other) => other === whole)(value, loops.map(at));
  if (scalar.kind !== 'load') return undefined;
  const { constant, terms } = scalar.position;
  if (terms.some(({ atom }) => atom.kind !== 'variable')) return undefined;
  const strides = loops.map((loop) => terms.find(({ atom }) => atom === loop)?.factor ?? 0);
  return { from: scalar.from, strides, offset: constant };
}

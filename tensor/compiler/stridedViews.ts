import { isHalf } from '../dtype.ts';
import type { Attributes } from '../primitives.ts';
import { type Shape, stridesOf } from '../shape.ts';
import { lowering } from './lower.ts';
import { at, variable } from './position.ts';
import { isContraction, isReduction, isStep, isView } from './primitiveKinds.ts';
import type { Value } from './program.ts';

/** How a contraction reads its inputs, in order; an empty list for other values. */
export const operandViewsOf = (
  value: Value,
  hasBuffer: (value: Value) => boolean,
  widening: boolean,
): readonly StridedView[] =>
  isContraction(value)
    ? value.inputs.map((input) => operandView(widening ? unwidened(input, hasBuffer) : input))
    : noOperands;

const noOperands: readonly StridedView[] = [];

/** The f16 or bf16 value behind its f32 copy, unless the copy is stored; else the value itself. */
function unwidened(value: Value, hasBuffer: (value: Value) => boolean): Value {
  const [from] = value.inputs;
  const widens = value.primitive === 'cast' && value.dtype === 'f32' && from !== undefined && isHalf(from.dtype);
  return widens && !hasBuffer(value) ? from : value;
}

/** A buffer seen with one stride for each axis (0 for axes of size 1). Strides and offset are in elements. */
export interface StridedView {
  readonly from: Value;
  readonly strides: readonly number[];
  readonly offset: number;
}

const knownViews = new WeakMap<Value, StridedView>();

/**
 * How contractions read a value: as a strided view of a stored value. Only the value's own expression decides which, and not
 * what else happens to be stored: the order in which a contraction adds up depends on the strides of its operands, and its
 * bits must not depend on what else a run computes.
 */
function operandView(value: Value): StridedView {
  const known = knownViews.get(value);
  if (known !== undefined) return known;
  const view = viewOfInput(value) ?? { from: value, strides: wholeStrides(value.shape), offset: 0 };
  knownViews.set(value, view);
  return view;
}

/** A view resolved to the value behind its input, if it has constant strides there. */
function viewOfInput(value: Value): StridedView | undefined {
  if (!isView(value) || value.primitive === 'pad' || value.primitive === 'concat' || value.shape.includes(0))
    return undefined;
  const [input] = value.inputs as readonly [Value, ...Value[]];
  const { from } = operandView(input);
  // A slice of a computed value may need only a part of it, so the slice is stored instead of the whole.
  if (value.primitive === 'slice' && !(from.primitive === 'leaf' || isStep(from) || isReduction(from)))
    return undefined;
  return stridedView(value, from);
}

const wholeStrides = (shape: Shape): number[] =>
  stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));

/** `value` as a strided view of `whole`, if it is one. */
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

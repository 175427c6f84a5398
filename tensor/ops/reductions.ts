import { isFloat } from '../dtype.ts';
import { ShapeError, TensorError } from '../errors.ts';
import { normalizeAxes, normalizeAxis, reducedShape, sizeOf } from '../shape.ts';
import { makeNode, type Tensor, typeOf } from '../tensor.ts';
import { add, div, exp, isFinite, log, logicalNot, neg, square, sub, where } from './elementwise.ts';
import { gather } from './indexing.ts';
import { reshape, sliceAxis } from './movement.ts';
import { checkBool, checkFloat, checkNumeric, constant, inFloat32 } from './operands.ts';
import { stopGradient } from './stopGradient.ts';

/** The axes to reduce: one, several, or (undefined) all. Negative axes count from the end. */
export type Axes = number | readonly number[] | undefined;

/** Options of the reductions. */
export interface ReduceOptions {
  /** Keep reduced axes, with size 1. */
  readonly keepDims?: boolean;
}

const reducer = (primitive: 'sum' | 'max', operator: string = primitive) => {
  return (x: Tensor, axes?: Axes, { keepDims = false }: ReduceOptions = {}): Tensor => {
    const list = normalizeAxes(operator, axes, x.rank);
    const kept = reducedShape(x.shape, list, true);
    if (primitive === 'max' && sizeOf(kept) > 0 && x.size === 0) {
      throw new ShapeError(`${operator}: ${typeOf(x)} has no elements along axes [${list.join(', ')}] to choose from`);
    }
    const reduced = list.length === 0 ? x : makeNode(primitive, [x], { axes: list }, kept, x.dtype);
    return keepDims ? reduced : reshape(reduced, reducedShape(x.shape, list, false));
  };
};

const reduceSum = reducer('sum');
const reduceMax = reducer('max');
const reduceMin = reducer('max', 'min');

/** The sum over axes, 0 for empty ones. Accumulates more precisely than the dtype and rounds once. */
export function sum(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  checkNumeric('sum', x);
  return reduceSum(x, axes, options);
}

/** The largest element over axes, NaN if one is NaN; elements that tie share the gradient evenly (PyTorch's `amax`). */
export function max(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  checkNumeric('max', x);
  return reduceMax(x, axes, options);
}

/** Reverses the order of values: −x for floats; −1 − x for integers, which flips all bits and cannot overflow. */
const reverseOrder = (x: Tensor): Tensor => (isFloat(x.dtype) ? neg(x) : sub(neg(x), 1));

/** The smallest element over axes, NaN if one is NaN; elements that tie share the gradient evenly (PyTorch's `amin`). */
export function min(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  checkNumeric('min', x);
  return reverseOrder(reduceMin(reverseOrder(x), axes, options));
}

/** True where any element over the axes is true; false for empty axes. bool only. */
export function any(x: Tensor, axes?: Axes, { keepDims = false }: ReduceOptions = {}): Tensor {
  checkBool('any', x);
  const list = normalizeAxes('any', axes, x.rank);
  return x.size === 0 ? constant(0, reducedShape(x.shape, list, keepDims), 'bool') : reduceMax(x, list, { keepDims });
}

/** True where all elements over the axes are true; true for empty axes. bool only. */
export function all(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  checkBool('all', x);
  return logicalNot(any(logicalNot(x), normalizeAxes('all', axes, x.rank), options));
}

const countOf = (x: Tensor, axes: Axes, operator: string): number =>
  normalizeAxes(operator, axes, x.rank).reduce((count, axis) => count * (x.shape[axis] as number), 1);

const notANumber = (x: Tensor, axes: Axes, { keepDims = false }: ReduceOptions = {}): Tensor =>
  constant(Number.NaN, reducedShape(x.shape, normalizeAxes('mean', axes, x.rank), keepDims), x.dtype);

/** The arithmetic mean over axes; NaN for empty ones. Floats only. */
export function mean(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  checkFloat('mean', x);
  const count = countOf(x, axes, 'mean');
  // GPUs need not compute 0/0 as NaN.
  if (count === 0) return notANumber(x, axes, options);
  return inFloat32(x, (wide) => div(sum(wide, axes, options), count));
}

/** Options of `variance`. */
export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the count: 0 (the default) for the population variance, 1 for the unbiased estimate. */
  readonly correction?: number;
}

/** The variance over axes, computed in two passes (PyTorch's `var`, whose `correction` is 1 by default). Floats only. */
export function variance(x: Tensor, axes?: Axes, { correction = 0, keepDims = false }: VarianceOptions = {}): Tensor {
  checkFloat('variance', x);
  const count = countOf(x, axes, 'variance');
  if (count === 0) return notANumber(x, axes, { keepDims });
  const freedom = Math.max(0, count - correction);
  return inFloat32(x, (wide) => {
    const centred = sub(wide, mean(wide, axes, { keepDims: true }));
    return div(sum(square(centred), axes, { keepDims }), freedom);
  });
}

/** log Σ e^x over axes, without overflow (PyTorch's `logsumexp`); −∞ where all elements are −∞. Floats only. */
export function logSumExp(x: Tensor, axes?: Axes, { keepDims = false }: ReduceOptions = {}): Tensor {
  checkFloat('logSumExp', x);
  const list = normalizeAxes('logSumExp', axes, x.rank);
  return inFloat32(x, (wide) => {
    // Every finite shift gives the same result, so the shift needs no gradient.
    const largest = wide.size === 0 ? undefined : stopGradient(max(wide, list, { keepDims: true }));
    const shift = largest === undefined ? 0 : where(isFinite(largest), largest, 0);
    const result = add(log(sum(exp(sub(wide, shift)), list, { keepDims: true })), shift);
    return keepDims ? result : reshape(result, reducedShape(x.shape, list, false));
  });
}

/** The axis of an argMax or argMin, counted from the front; throws for an empty axis. */
function checkChoice(operator: string, x: Tensor, axis: number): number {
  checkNumeric(operator, x);
  const at = normalizeAxis(operator, axis, x.rank);
  if (x.shape[at] === 0) throw new ShapeError(`${operator}: axis ${axis} of ${typeOf(x)} is empty`);
  return at;
}

/** The index (i32) of the first largest element along an axis; NaN counts as the largest. */
export function argMax(x: Tensor, axis: number, { keepDims = false }: ReduceOptions = {}): Tensor {
  const at = checkChoice('argMax', x, axis);
  const index = makeNode('argMax', [x], { axis: at }, reducedShape(x.shape, [at], true), 'i32');
  return keepDims ? index : reshape(index, reducedShape(x.shape, [at], false));
}

/** The index (i32) of the first smallest element along an axis; NaN counts as the smallest. */
export function argMin(x: Tensor, axis: number, options?: ReduceOptions): Tensor {
  const at = checkChoice('argMin', x, axis);
  return argMax(reverseOrder(x), at, options);
}

/** Inclusive running sums along an axis (PyTorch's `cumsum`). */
export function cumsum(x: Tensor, axis: number): Tensor {
  checkNumeric('cumsum', x);
  return makeNode('cumsum', [x], { axis: normalizeAxis('cumsum', axis, x.rank) }, x.shape, x.dtype);
}

/** Options of `sort` and `argSort`. */
export interface SortOptions {
  /** Largest first; default false. */
  readonly descending?: boolean;
}

/** The indices (i32) of a stable sort along an axis; NaN counts as the largest. */
export function argSort(x: Tensor, axis = -1, { descending = false }: SortOptions = {}): Tensor {
  checkNumeric('argSort', x);
  const attributes = { axis: normalizeAxis('argSort', axis, x.rank), descending };
  return makeNode('argSort', [x], attributes, x.shape, 'i32');
}

/** The elements in ascending (or descending) order along an axis; NaN counts as the largest. */
export function sort(x: Tensor, axis = -1, options?: SortOptions): Tensor {
  checkNumeric('sort', x);
  const at = normalizeAxis('sort', axis, x.rank);
  return gather(x, argSort(x, at, options), at);
}

/** The `count` largest elements along an axis, in descending order, and their indices (i32) (PyTorch's `topk`). */
export function topK(x: Tensor, count: number, axis = -1): { values: Tensor; indices: Tensor } {
  checkNumeric('topK', x);
  const at = normalizeAxis('topK', axis, x.rank);
  if (!Number.isInteger(count) || count < 0 || count > (x.shape[at] as number)) {
    throw new TensorError(
      `topK: cannot take ${count} of the ${x.shape[at]} elements along axis ${axis} of ${typeOf(x)}`,
    );
  }
  const indices = sliceAxis(argSort(x, at, { descending: true }), at, 0, count);
  return { values: gather(x, indices, at), indices };
}

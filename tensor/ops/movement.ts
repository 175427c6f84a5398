import { checkScalar } from '../dtype.ts';
import { ShapeError, TensorError } from '../errors.ts';
import { noAttributes } from '../primitives.ts';
import { checkShape, formatShape, normalizeAxes, normalizeAxis, type Shape, sameShape, sizeOf } from '../shape.ts';
import { makeNode, type Tensor, typeOf } from '../tensor.ts';
import { broadcastTo, constant } from './operands.ts';

/** The same elements, in row-major order, in another shape; one size of −1 is inferred (PyTorch's `reshape`). */
export function reshape(x: Tensor, shape: Shape): Tensor {
  let [rest, unknown] = [1, 0];
  for (const size of shape) {
    if (size === -1) unknown++;
    else rest *= size;
  }
  const target = unknown === 1 && rest > 0 ? shape.map((size) => (size === -1 ? x.size / rest : size)) : shape;
  if (unknown > 1 || !target.every((size) => Number.isInteger(size) && size >= 0) || sizeOf(target) !== x.size) {
    throw new ShapeError(`reshape: ${typeOf(x)} has ${x.size} elements and cannot become ${formatShape(shape)}`);
  }
  return sameShape(target, x.shape) ? x : makeNode('reshape', [x], noAttributes, target, x.dtype);
}

/** Reorders axes: output axis i is input axis `axes[i]` (PyTorch's `permute`). */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const order = axes.map((axis) => normalizeAxis('permute', axis, x.rank));
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    throw new ShapeError(`permute: [${axes.join(', ')}] must name each of the ${x.rank} axes of ${typeOf(x)} once`);
  }
  if (order.every((axis, i) => axis === i)) return x;
  const shape = order.map((axis) => x.shape[axis] as number);
  return makeNode('permute', [x], { axes: order }, shape, x.dtype);
}

/** Swaps two axes, by default the last two. */
export function transpose(x: Tensor, axis1 = -2, axis2 = -1): Tensor {
  const i = normalizeAxis('transpose', axis1, x.rank);
  const j = normalizeAxis('transpose', axis2, x.rank);
  return permute(
    x,
    x.shape.map((_, axis) => (axis === i ? j : axis === j ? i : axis)),
  );
}

/** Removes the given axes, which must have size 1; by default all axes of size 1. */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  const dropped =
    axes === undefined
      ? x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []))
      : normalizeAxes('squeeze', axes, x.rank);
  const wide = dropped.find((axis) => x.shape[axis] !== 1);
  if (wide !== undefined)
    throw new ShapeError(`squeeze: axis ${wide} of ${typeOf(x)} has size ${x.shape[wide]}, not 1`);
  return reshape(
    x,
    x.shape.filter((_, axis) => !dropped.includes(axis)),
  );
}

/** Inserts an axis of size 1 as axis `axis` of the result. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  const at = normalizeAxis('unsqueeze', axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Merges the axes from `startAxis` to `endAxis`, both included, by default all (PyTorch's `flatten`). */
export function flatten(x: Tensor, startAxis = 0, endAxis = -1): Tensor {
  if (x.rank === 0) return reshape(x, [1]);
  const start = normalizeAxis('flatten', startAxis, x.rank);
  const end = normalizeAxis('flatten', endAxis, x.rank);
  if (start > end) throw new ShapeError(`flatten: axis ${startAxis} comes after axis ${endAxis} in ${typeOf(x)}`);
  return reshape(x, [...x.shape.slice(0, start), sizeOf(x.shape.slice(start, end + 1)), ...x.shape.slice(end + 1)]);
}

/** Reverses the order of elements along `axes`, by default all. */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  const list = normalizeAxes('flip', axes, x.rank);
  return list.length === 0 ? x : makeNode('flip', [x], { axes: list }, x.shape, x.dtype);
}

/**
 * NumPy's `x[starts:stops:steps]`, one entry per axis from the first; a missing or undefined entry means the whole axis.
 * Negative positions count from the end, positions outside are clamped, and negative steps go backwards.
 */
export function slice(
  x: Tensor,
  starts: readonly (number | undefined)[],
  stops: readonly (number | undefined)[] = [],
  steps: readonly (number | undefined)[] = [],
): Tensor {
  const entries = Math.max(starts.length, stops.length, steps.length);
  if (entries > x.rank) throw new ShapeError(`slice: ${entries} entries for ${typeOf(x)}, which has ${x.rank} axes`);
  const ranges = x.shape.map((size, axis) => sliceRange(size, starts[axis], stops[axis], steps[axis] ?? 1));
  const lengths = ranges.map(({ length }) => length);
  const backwards = ranges.flatMap(({ step }, axis) => (step < 0 ? [axis] : []));
  // A slice with a negative step is the slice of the same elements forwards, flipped.
  const forward = ranges.map(({ start, step, length }) =>
    step < 0 ? { start: length > 0 ? start + (length - 1) * step : 0, step: -step } : { start, step },
  );
  const whole = sameShape(lengths, x.shape) && forward.every(({ step }) => step === 1);
  const attributes = { starts: forward.map(({ start }) => start), steps: forward.map(({ step }) => step) };
  const taken = whole ? x : makeNode('slice', [x], attributes, lengths, x.dtype);
  return backwards.length === 0 ? taken : flip(taken, backwards);
}

function sliceRange(size: number, start: number | undefined, stop: number | undefined, step: number) {
  if (!Number.isInteger(step) || step === 0) throw new TensorError(`slice: a step of ${step} goes nowhere`);
  for (const position of [start, stop]) {
    if (position !== undefined && !Number.isInteger(position)) {
      throw new TensorError(`slice: ${position} is not a whole number`);
    }
  }
  // Forwards, positions lie in [0, size]; backwards, in [−1, size − 1], where −1 is "before the first".
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const place = (position: number) => Math.min(Math.max(position < 0 ? position + size : position, low), high);
  const from = start === undefined ? (step > 0 ? low : high) : place(start);
  const to = stop === undefined ? (step > 0 ? high : low) : place(stop);
  return { start: from, step, length: Math.max(0, Math.ceil((to - from) / step)) };
}

/** The elements from `from` to before `to` along one axis. */
export function sliceAxis(x: Tensor, axis: number, from: number, to: number): Tensor {
  const at = normalizeAxis('slice', axis, x.rank);
  const blank = new Array<undefined>(at).fill(undefined);
  return slice(x, [...blank, from], [...blank, to]);
}

/** Pads with `value`: `[before, after]` for each axis; negative amounts crop. */
export function pad(x: Tensor, amounts: readonly (readonly [number, number])[], value = 0): Tensor {
  if (amounts.length !== x.rank) {
    throw new ShapeError(
      `pad: ${amounts.length} pairs of amounts for ${typeOf(x)}; give one for each of its ${x.rank} axes`,
    );
  }
  checkScalar('pad', x.dtype, value);
  amounts.forEach(([before, after], axis) => {
    const [front, back] = [Math.max(0, -before), Math.max(0, -after)];
    if (front + back > (x.shape[axis] as number))
      throw new ShapeError(`pad: cannot crop ${front} and ${back} elements from axis ${axis} of ${typeOf(x)}`);
  });
  const cropped = slice(
    x,
    amounts.map(([before]) => Math.max(0, -before)),
    amounts.map(([, after], axis) => Math.max(0, (x.shape[axis] as number) - Math.max(0, -after))),
  );
  const before = amounts.map(([amount]) => Math.max(0, amount));
  const after = amounts.map(([, amount]) => Math.max(0, amount));
  return padInterior(cropped, before, after, new Array<number>(x.rank).fill(0), value);
}

/** `pad` that also inserts `interior` elements between neighbours: the adjoint of a slice with steps. No negative amounts. */
export function padInterior(
  x: Tensor,
  before: readonly number[],
  after: readonly number[],
  interior: readonly number[],
  value = 0,
): Tensor {
  const shape = checkShape(
    'pad',
    x.shape.map((size, axis) => {
      const inside = size === 0 ? 0 : size + (size - 1) * (interior[axis] as number);
      return (before[axis] as number) + inside + (after[axis] as number);
    }),
  );
  return sameShape(shape, x.shape) ? x : makeNode('pad', [x], { before, after, interior, value }, shape, x.dtype);
}

/** Joins tensors of the same dtype along an axis; all other sizes must agree (PyTorch's `cat`). */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new TensorError('concat: there is nothing to join');
  const at = normalizeAxis('concat', axis, first.rank);
  for (const x of tensors) {
    const fits = x.rank === first.rank && x.shape.every((size, i) => i === at || size === first.shape[i]);
    if (!fits || x.dtype !== first.dtype) {
      throw new ShapeError(
        `concat: ${typeOf(x)} does not fit ${typeOf(first)}: dtypes and all sizes but that of axis ${axis} must be equal`,
      );
    }
  }
  if (tensors.length === 1) return first;
  const total = tensors.reduce((sum, x) => sum + (x.shape[at] as number), 0);
  const shape = first.shape.map((size, i) => (i === at ? total : size));
  return makeNode('concat', tensors, { axis: at }, shape, first.dtype);
}

/** Joins tensors of the same shape and dtype along a new axis (PyTorch's `stack`). */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new TensorError('stack: there is nothing to join');
  const odd = tensors.find((x) => !sameShape(x.shape, first.shape));
  if (odd !== undefined) throw new ShapeError(`stack: ${typeOf(odd)} does not have the shape of ${typeOf(first)}`);
  const other = tensors.find((x) => x.dtype !== first.dtype);
  if (other !== undefined) throw new TensorError(`stack: ${typeOf(other)} does not have the dtype of ${typeOf(first)}`);
  return concat(
    tensors.map((x) => unsqueeze(x, axis)),
    axis,
  );
}

/** Splits along an axis, into `sizes` equal parts if it is a number, or into parts of the given sizes. */
export function split(x: Tensor, sizes: number | readonly number[], axis = 0): Tensor[] {
  const at = normalizeAxis('split', axis, x.rank);
  const total = x.shape[at] as number;
  const countable = typeof sizes !== 'number' || (Number.isInteger(sizes) && sizes >= 0);
  const list = typeof sizes !== 'number' ? sizes : countable ? new Array<number>(sizes).fill(total / sizes) : [];
  if (
    !countable ||
    list.some((size) => !Number.isInteger(size) || size < 0) ||
    list.reduce((a, b) => a + b, 0) !== total
  ) {
    throw new ShapeError(`split: axis ${axis} of ${typeOf(x)} cannot be cut into ${JSON.stringify(sizes)} parts`);
  }
  let start = 0;
  return list.map((size) => {
    start += size;
    return sliceAxis(x, at, start - size, start);
  });
}

/** Repeats x `counts[i]` times along axis i; more counts than axes add leading axes (PyTorch's `repeat`). */
export function repeat(x: Tensor, counts: readonly number[]): Tensor {
  if (counts.length < x.rank) {
    throw new ShapeError(`repeat: ${counts.length} counts for ${typeOf(x)}, which has ${x.rank} axes`);
  }
  checkShape('repeat', counts);
  const shape = [...new Array<number>(counts.length - x.rank).fill(1), ...x.shape];
  // Every axis becomes (copies, size): the copies are broadcast, then the two axes are merged.
  const apart = reshape(
    x,
    shape.flatMap((size) => [1, size]),
  );
  const repeated = broadcastTo(
    apart,
    shape.flatMap((size, axis) => [counts[axis] as number, size]),
  );
  return reshape(
    repeated,
    shape.map((size, axis) => size * (counts[axis] as number)),
  );
}

/** Repeats every element `count` times along an axis, copies side by side (PyTorch's `repeat_interleave`). */
export function repeatInterleave(x: Tensor, count: number, axis: number): Tensor {
  const at = normalizeAxis('repeatInterleave', axis, x.rank);
  checkShape('repeatInterleave', [count]);
  const before = x.shape.slice(0, at + 1);
  const after = x.shape.slice(at + 1);
  const repeated = broadcastTo(reshape(x, [...before, 1, ...after]), [...before, count, ...after]);
  return reshape(
    repeated,
    x.shape.map((size, i) => (i === at ? size * count : size)),
  );
}

/** Zeros with the shape and dtype of x. */
export const zerosLike = (x: Tensor): Tensor => constant(0, x.shape, x.dtype);
/** Ones with the shape and dtype of x. */
export const onesLike = (x: Tensor): Tensor => constant(1, x.shape, x.dtype);

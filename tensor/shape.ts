import { ShapeError } from './errors.ts';

/** Sizes of the dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** The number of elements: the product of the sizes, 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let axis = 0; axis < shape.length; axis++) size *= shape[axis] as number;
  return size;
}

/** Strides, in elements, of a row-major array. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] as number;
  }
  return strides;
}

/** `[2, 3]`. */
export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** True if both shapes have the same rank and sizes. */
export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}

/** A frozen copy of a shape, or the shape itself if it is frozen. */
export const frozenShape = (shape: Shape): Shape => (Object.isFrozen(shape) ? shape : Object.freeze(shape.slice()));

/** Returns the shape, frozen; throws unless every size is a whole number from 0 and the tensor has at most 2^40 elements. */
export function checkShape(operator: string, shape: Shape): Shape {
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 0) {
      throw new ShapeError(`${operator}: ${formatShape(shape)} is not a shape: sizes are whole numbers from 0`);
    }
  }
  if (sizeOf(shape) > 2 ** 40)
    throw new ShapeError(`${operator}: a tensor of shape ${formatShape(shape)} is too large`);
  return frozenShape(shape);
}

/** An axis counted from the front; a negative one counts from the end (−1 is the last). Throws for an axis out of range. */
export function normalizeAxis(operator: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const range = rank === 0 ? 'a scalar has no axes' : `axes of rank ${rank} are ${-rank} to ${rank - 1}`;
    throw new ShapeError(`${operator}: there is no axis ${axis}: ${range}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** Axes counted from the front, in ascending order; `undefined` means all. Throws for an axis that occurs twice. */
export function normalizeAxes(operator: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  const list = (typeof axes === 'number' ? [axes] : axes).map((axis) => normalizeAxis(operator, axis, rank));
  if (new Set(list).size !== list.length)
    throw new ShapeError(`${operator}: an axis occurs twice in [${String(axes)}]`);
  return list.sort((a, b) => a - b);
}

/**
 * The shape to which `shapes` broadcast by NumPy's rules: aligned at the last axis, sizes equal or 1.
 * @throws ShapeError that names `operator`
 */
export function broadcastShapes(operator: string, ...shapes: readonly Shape[]): Shape {
  const [first] = shapes;
  if (first !== undefined && shapes.every((shape) => sameShape(first, shape))) return first;
  const rank = shapes.reduce((most, shape) => Math.max(most, shape.length), 0);
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const size = shape[i] as number;
      const axis = rank - shape.length + i;
      const other = result[axis];
      if (size !== other && size !== 1 && other !== 1) {
        throw new ShapeError(
          `${operator}: shapes ${shapes.map(formatShape).join(' and ')} do not broadcast: ` +
            `sizes ${other} and ${size} meet at axis ${axis - rank}, and neither is 1`,
        );
      }
      if (size !== 1) result[axis] = size;
    }
  }
  return result;
}

/** The shape after a reduction over `axes`, which are dropped or, with `keepDims`, have size 1. */
export const reducedShape = (shape: Shape, axes: readonly number[], keepDims: boolean): Shape =>
  keepDims
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));

import fc from 'fast-check';
import type { Shape } from '../../tensor/index.ts';

/** Options of `shapes`. */
export interface ShapeOptions {
  /** Default 0. */
  readonly minRank?: number;
  /** Default 4. */
  readonly maxRank?: number;
  /** The smallest size of an axis; default 1. With 0, some shapes have no elements. */
  readonly minSize?: number;
  /** The largest size of an axis; default 7. */
  readonly maxSize?: number;
  /** The largest number of elements; default 64. Axes that would exceed it are shortened. */
  readonly maxElements?: number;
}

const awkward = [1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 33];

/** Sizes of an axis, often awkward ones: 1, primes, powers of two and their neighbours; 0 if `minSize` is 0. */
export function sizes({
  minSize = 1,
  maxSize = 7,
}: Pick<ShapeOptions, 'minSize' | 'maxSize'> = {}): fc.Arbitrary<number> {
  const some = fc.integer({ min: Math.max(minSize, Math.min(1, maxSize)), max: maxSize });
  const special = awkward.filter((size) => size >= minSize && size <= maxSize);
  return fc.oneof(
    { withCrossShrink: true },
    { weight: 4, arbitrary: some },
    { weight: special.length === 0 ? 0 : 6, arbitrary: special.length === 0 ? some : fc.constantFrom(...special) },
    { weight: minSize === 0 ? 1 : 0, arbitrary: fc.constant(minSize) },
  );
}

/**
 * Shapes of tensors. Shrinks towards fewer and smaller axes.
 *
 * ```ts
 * fc.assert(fc.property(shapes({ minRank: 2, minSize: 0 }), (shape) => sum(zeros(shape)).rank === 0));
 * ```
 */
export function shapes(options: ShapeOptions = {}): fc.Arbitrary<Shape> {
  const { minRank = 0, maxRank = 4, maxElements = 64, minSize = 1 } = options;
  return fc
    .array(sizes(options), { minLength: minRank, maxLength: maxRank, size: 'max' })
    .map((list) => limited(list, maxElements, minSize));
}

/** Shortens axes so that the shape has at most `maxElements` elements. */
function limited(list: readonly number[], maxElements: number, minSize: number): Shape {
  let room = maxElements;
  return list.map((size) => {
    const cut = Math.max(Math.min(size, Math.max(1, room)), minSize);
    if (cut > 0) room = Math.floor(room / cut);
    return cut;
  });
}

/**
 * `count` shapes that broadcast to one another by NumPy's rules: a common shape with some leading axes left out and some
 * sizes replaced by 1. At least one of them has the full shape.
 */
export function broadcastableShapes(count: number, options: ShapeOptions = {}): fc.Arbitrary<readonly Shape[]> {
  const part = fc.record({ dropped: fc.nat({ max: 3 }), ones: fc.array(fc.boolean(), { maxLength: 5 }) });
  return fc
    .record({
      full: shapes(options),
      parts: fc.array(part, { minLength: count, maxLength: count }),
      whole: fc.nat({ max: Math.max(0, count - 1) }),
    })
    .map(({ full, parts, whole }) =>
      parts.map(({ dropped, ones }, i) => {
        if (i === whole) return full;
        const kept = full.slice(Math.min(dropped, Math.max(0, full.length - (options.minRank ?? 0))));
        return kept.map((size, axis) => (ones[axis] ? 1 : size));
      }),
    );
}

/** An axis of a tensor of the given rank, counted from either end. */
export const axes = (rank: number): fc.Arbitrary<number> => fc.integer({ min: -rank, max: rank - 1 });

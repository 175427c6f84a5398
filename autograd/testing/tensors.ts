import fc from 'fast-check';
import { type DType, dtypes, isFloat, type Shape, sizeOf, type Tensor, tensor } from '../../tensor/index.ts';
import { shapes } from './shapes.ts';

/** One of the given dtypes, by default of all. Shrinks towards the first. */
export const dtypeArbitrary = (among: readonly DType[] = dtypes): fc.Arbitrary<DType> => fc.constantFrom(...among);

/** Options of `elements`. */
export interface ValueOptions {
  /** Default [−2, 2]; bool is always 0 or 1, and u32 starts at 0. */
  readonly range?: readonly [min: number, max: number];
  /** Floats are multiples of 1/steps, which keeps counterexamples readable and, for powers of two, exact; default 8. */
  readonly steps?: number;
  /** Values that elements differ from by more than `margin`, such as the kinks of a function. */
  readonly avoid?: readonly number[];
  /** Default 1/16. */
  readonly margin?: number;
  /** No two elements are equal: they differ by at least a step. More elements than steps make the steps finer. */
  readonly distinct?: boolean;
  /** Floats may also be NaN, ±∞, −0 and the extremes of the dtype; default false. */
  readonly special?: boolean;
}

/** Options of `tensors`. */
export interface TensorArbitraryOptions extends ValueOptions {
  /** Default: any shape of up to 64 elements. */
  readonly shape?: Shape | fc.Arbitrary<Shape>;
  /** Default f64. */
  readonly dtype?: DType | fc.Arbitrary<DType>;
}

const specials: Readonly<Record<'f64' | 'f32' | 'f16' | 'bf16', readonly number[]>> = {
  f64: [Number.MAX_VALUE, Number.MIN_VALUE],
  f32: [3.4028234663852886e38, 2 ** -149],
  f16: [65504, 2 ** -24],
  bf16: [3.3895313892515355e38, 2 ** -133],
};

/** `count` elements of a dtype. Shrinks towards 0, or the value of the range nearest to 0. */
export function elements(count: number, dtype: DType, options: ValueOptions = {}): fc.Arbitrary<readonly number[]> {
  if (dtype === 'bool') return fc.array(fc.nat({ max: 1 }), { minLength: count, maxLength: count });
  const [low, high] = options.range ?? [-2, 2];
  const min = dtype === 'u32' ? Math.max(0, low) : low;
  const wanted = isFloat(dtype) ? (options.steps ?? 8) : 1;
  const spread = options.distinct && isFloat(dtype) ? (2 * count) / Math.max(1e-9, high - min) : 0;
  const steps = wanted * 2 ** Math.max(0, Math.ceil(Math.log2(spread / wanted)));
  const { avoid = [], margin = 1 / 16 } = options;
  const near = (value: number) => avoid.some((kink) => Math.abs(value - kink) <= margin);
  const number = fc.integer({ min: Math.ceil(min * steps), max: Math.floor(high * steps) }).map((n) => n / steps);
  const allowed = avoid.length === 0 ? number : number.filter((value) => !near(value));
  if (options.distinct) return fc.uniqueArray(allowed, { minLength: count, maxLength: count, size: 'max' });
  const odd = isFloat(dtype) && options.special ? specials[dtype] : [];
  const element =
    odd.length === 0
      ? allowed
      : fc.oneof(
          { weight: 4, arbitrary: allowed },
          {
            weight: 1,
            arbitrary: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, ...odd),
          },
        );
  return fc.array(element, { minLength: count, maxLength: count, size: 'max' });
}

/**
 * Tensors of short fractions (or whole numbers), which fast-check prints as code. A property that donates or disposes of
 * its tensor must work on a copy, so that fast-check can shrink the counterexample.
 *
 * ```ts
 * const x = tensors({ shape: [2, 3], range: [0.5, 2] });
 * await fc.assert(fc.asyncProperty(x, async (x) => void (await checkGradients(log, [x]))));
 * ```
 */
export function tensors(options: TensorArbitraryOptions = {}): fc.Arbitrary<Tensor> {
  const { shape = shapes(), dtype = 'f64' } = options;
  const make = (shape: Shape, dtype: DType) =>
    elements(sizeOf(shape), dtype, options).map((values) => printable(values, shape, dtype));
  if (!(shape instanceof fc.Arbitrary)) {
    return dtype instanceof fc.Arbitrary ? dtype.chain((dtype) => make(shape, dtype)) : make(shape, dtype);
  }
  if (!(dtype instanceof fc.Arbitrary)) return shape.chain((shape) => make(shape, dtype));
  return fc.tuple(shape, dtype).chain(([shape, dtype]) => make(shape, dtype));
}

/** A tensor that fast-check prints as `tensor([…], { shape: […], dtype: '…' })`. */
export function printable(values: readonly number[], shape: Shape, dtype: DType): Tensor {
  const result = tensor(values, { shape, dtype });
  const text = values.map((value) => (Object.is(value, -0) ? '-0' : String(value))).join(', ');
  Object.defineProperty(result, fc.toStringMethod, {
    value: () => `tensor([${text}], { shape: [${shape.join(', ')}], dtype: '${dtype}' })`,
  });
  return result;
}

import { type DType, type FloatDType, isFloat } from './dtype.ts';
import { TensorError } from './errors.ts';
import { add, cos, div, less, log, maximum, mul, neg, remainder, sqrt, sub, where } from './ops/elementwise.ts';
import { split as cut, reshape, sliceAxis, squeeze, stack } from './ops/movement.ts';
import { broadcastTo, cast, checkFloat, constant, iota } from './ops/operands.ts';
import { argMax, argSort } from './ops/reductions.ts';
import { leaf } from './placement.ts';
import { checkShape, normalizeAxis, type Shape, sizeOf } from './shape.ts';
import { makeNode, type Tensor, typeOf } from './tensor.ts';

/**
 * Random numbers without hidden state, as in JAX: every draw is a function of a key, a u32[2]. Word i of a draw is
 * Threefry-2x32-20 of the key and the counter (i, purpose), so an element depends on the key and its own position only,
 * not on the shape. Draws, splits and folds of one key never share a counter.
 *
 * Use a key once: `split` it for more. `randomBits`, `uniform`, `bernoulli`, `randint` and `permutation` return the same
 * bits on every executor; `normal` goes through log and cos and agrees within 4 ulp.
 */
const purposes = { draw: 0, split: 1, fold: 2 } as const;

/** A key (u32[2]) from a seed, a whole number from 0 to 2^53 − 1. */
export function key(seed: number): Tensor {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new TensorError(`key: a seed is a whole number from 0 to 2^53 − 1, got ${seed}`);
  return leaf([2], 'u32', Uint32Array.of(Math.floor(seed / 2 ** 32), seed % 2 ** 32));
}

/** One word of Threefry per counter. */
function words(
  operator: string,
  randomKey: Tensor,
  counters: Tensor,
  purpose: keyof typeof purposes,
  word: 0 | 1,
): Tensor {
  if (randomKey.dtype !== 'u32' || randomKey.shape.join() !== '2') {
    throw new TensorError(`${operator}: a key is a u32[2], made by key() or split(), got ${typeOf(randomKey)}`);
  }
  const { shape } = counters;
  const keyWord = (i: number) => broadcastTo(sliceAxis(randomKey, 0, i, i + 1), [sizeOf(shape)]);
  const inputs = [
    keyWord(0),
    keyWord(1),
    reshape(counters, [sizeOf(shape)]),
    constant(purposes[purpose], [sizeOf(shape)], 'u32'),
  ];
  return reshape(makeNode('threefry', inputs, { word }, [sizeOf(shape)], 'u32'), shape);
}

/** The row-major position of each element: 0, 1, 2, …. */
const positions = (shape: Shape): Tensor => reshape(iota([sizeOf(shape)], 0, 'u32'), shape);

/** Uniform random u32 words of the given shape; word 1 is independent of word 0. */
export function randomBits(randomKey: Tensor, shape: Shape, word: 0 | 1 = 0): Tensor {
  return words('randomBits', randomKey, positions(checkShape('randomBits', shape)), 'draw', word);
}

/** `count` new keys, by default two, independent of each other and of all that is drawn from the key. */
export function split(randomKey: Tensor): [Tensor, Tensor];
export function split(randomKey: Tensor, count: number): Tensor[];
export function split(randomKey: Tensor, count = 2): Tensor[] {
  const counters = positions(checkShape('split', [count]));
  const halves = ([0, 1] as const).map((word) => words('split', randomKey, counters, 'split', word));
  return cut(stack(halves, 1), count, 0).map((row) => squeeze(row, 0));
}

/** A new key from a key and a number from 0 to 2^32 − 1, such as a step or a sample's index. */
export function foldIn(randomKey: Tensor, data: number): Tensor {
  if (!Number.isInteger(data) || data < 0 || data >= 2 ** 32)
    throw new TensorError(`foldIn: needs a whole number from 0 to 2^32 − 1, got ${data}`);
  const counter = constant(data, [1], 'u32');
  return squeeze(
    stack(
      ([0, 1] as const).map((word) => words('foldIn', randomKey, counter, 'fold', word)),
      1,
    ),
    0,
  );
}

/** Options of `uniform`. */
export interface UniformOptions {
  /** Default 0. */
  readonly min?: number;
  /** Default 1. */
  readonly max?: number;
  /** Default f32. */
  readonly dtype?: FloatDType;
}

/** 53 (f64) or 24 random bits as a multiple of 2^−53 or 2^−24 in [0, 1). */
function unit(randomKey: Tensor, shape: Shape, dtype: 'f64' | 'f32'): Tensor {
  const high = randomBits(randomKey, shape, 0);
  if (dtype === 'f32') return mul(cast(div(high, 2 ** 8), 'f32'), 2 ** -24);
  const low = randomBits(randomKey, shape, 1);
  return mul(add(mul(cast(div(high, 2 ** 5), 'f64'), 2 ** 26), cast(div(low, 2 ** 6), 'f64')), 2 ** -53);
}

/**
 * Uniform numbers in [min, max), floats only. For halves, and for a min other than 0, a further rounding can reach max.
 */
export function uniform(
  randomKey: Tensor,
  shape: Shape,
  { min = 0, max = 1, dtype = 'f32' }: UniformOptions = {},
): Tensor {
  checkFloatOption('uniform', dtype);
  if (!(Number.isFinite(min) && Number.isFinite(max) && min <= max))
    throw new TensorError(`uniform: needs finite min ≤ max, got ${min} and ${max}`);
  const numbers = unit(randomKey, shape, dtype === 'f64' ? 'f64' : 'f32');
  const scaled = min === 0 && max === 1 ? numbers : add(mul(numbers, max - min), min);
  return cast(scaled, dtype);
}

function checkFloatOption(operator: string, dtype: DType): void {
  if (!isFloat(dtype)) throw new TensorError(`${operator}: draws floats, not ${dtype}`);
}

/** Standard normal numbers, √(−2·log u)·cos(2π·v) of uniform u and v (Box & Muller 1958). Computed in f32, f64 for f64. */
export function normal(
  randomKey: Tensor,
  shape: Shape,
  { dtype = 'f32' }: { readonly dtype?: FloatDType } = {},
): Tensor {
  checkFloatOption('normal', dtype);
  const wide = dtype === 'f64' ? 'f64' : 'f32';
  const [radiusKey, angleKey] = split(randomKey);
  // 1 − u lies in (0, 1], so its logarithm is finite.
  const radius = sqrt(mul(log(sub(1, unit(radiusKey, shape, wide))), -2));
  return cast(mul(radius, cos(mul(unit(angleKey, shape, wide), 2 * Math.PI))), dtype);
}

/** A bool tensor, true with probability p: a number, or a float tensor that broadcasts to the shape. */
export function bernoulli(randomKey: Tensor, p: number | Tensor, shape: Shape): Tensor {
  if (typeof p === 'number' && !(p >= 0 && p <= 1))
    throw new TensorError(`bernoulli: a probability lies in [0, 1], got ${p}`);
  const wide = typeof p !== 'number' && p.dtype === 'f64' ? 'f64' : 'f32';
  return less(unit(randomKey, shape, wide), typeof p === 'number' ? p : broadcastTo(cast(p, wide), shape));
}

/**
 * Uniform whole numbers (i32) in [min, max): the upper half of a 64-bit random number times the span. The probabilities
 * of two numbers differ by at most one part in 2^32.
 */
export function randint(randomKey: Tensor, shape: Shape, min: number, max: number): Tensor {
  const span = max - min;
  if (![min, max].every(Number.isInteger) || span < 1 || min < -(2 ** 31) || max > 2 ** 31) {
    throw new TensorError(`randint: needs whole numbers −2^31 ≤ min < max ≤ 2^31, got ${min} and ${max}`);
  }
  if (span === 2 ** 32) return wrapToInt32(randomBits(randomKey, shape));
  const upper = wideProduct(randomBits(randomKey, shape, 0), span);
  const lower = wideProduct(randomBits(randomKey, shape, 1), span);
  // Where the sum of the middle words wraps, it carries into the result.
  const carry = cast(less(add(upper.low, lower.high), upper.low), 'u32');
  return add(wrapToInt32(add(upper.high, carry)), min);
}

/** Reinterprets u32 bits as i32; a cast would saturate. */
function wrapToInt32(x: Tensor): Tensor {
  const negative = sub(neg(cast(sub(neg(x), 1), 'i32')), 1);
  return where(less(x, 2 ** 31), cast(x, 'i32'), negative);
}

/** Both words of the 64-bit product of u32 words and a number below 2^32, computed by 16-bit halves. */
function wideProduct(x: Tensor, factor: number): { high: Tensor; low: Tensor } {
  const half = 2 ** 16;
  const [xHigh, xLow] = [div(x, half), remainder(x, half)];
  const [high, low] = [Math.floor(factor / half), factor % half];
  const bottom = mul(xLow, low);
  const middle = add(mul(xHigh, low), div(bottom, half));
  const cross = add(mul(xLow, high), remainder(middle, half));
  return { high: add(add(mul(xHigh, high), div(middle, half)), div(cross, half)), low: mul(x, factor) };
}

/** Draws indices (i32) with probabilities softmax(logits) along an axis: argMax of the logits plus Gumbel noise. */
export function categorical(randomKey: Tensor, logits: Tensor, axis = -1): Tensor {
  checkFloat('categorical', logits);
  const at = normalizeAxis('categorical', axis, logits.rank);
  const dtype = logits.dtype === 'f64' ? 'f64' : 'f32';
  // 0 stands for the interval up to the next number; its middle keeps the noise finite, so that a logit of −∞ never wins.
  const chance = maximum(unit(randomKey, logits.shape, dtype), dtype === 'f64' ? 2 ** -54 : 2 ** -25);
  return argMax(sub(cast(logits, dtype), log(neg(log(chance)))), at);
}

/** The numbers 0 to n − 1 (i32) in random order: the argSort of n random words. */
export const permutation = (randomKey: Tensor, n: number): Tensor => argSort(randomBits(randomKey, [n]), 0);

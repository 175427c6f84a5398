/**
 * Arrays for the naive implementations in tests: nested loops over plain numbers, independent of the library's index
 * arithmetic and rounding.
 */
export interface Nd {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** The entry of an array, which must exist. */
export function entry<T>(list: ArrayLike<T>, i: number): T {
  const found = list[i];
  if (found === undefined) throw new Error(`test bug: no entry ${i} among ${list.length}`);
  return found;
}

export const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Every index of a shape, the last axis fastest. */
export function indicesOf(shape: readonly number[]): number[][] {
  const [size, ...rest] = shape;
  if (size === undefined) return [[]];
  const tails = indicesOf(rest);
  return Array.from({ length: size }, (_, i) => i).flatMap((i) => tails.map((tail) => [i, ...tail]));
}

function offsetIn(shape: readonly number[], index: readonly number[]): number {
  let offset = 0;
  shape.forEach((size, axis) => {
    const i = entry(index, axis);
    if (i < 0 || i >= size) throw new Error(`test bug: index ${index.join()} is outside ${shape.join()}`);
    offset = offset * size + i;
  });
  return offset;
}

export const at = (x: Nd, index: readonly number[]): number => entry(x.data, offsetIn(x.shape, index));

export const build = (shape: readonly number[], f: (index: readonly number[]) => number): Nd => ({
  shape,
  data: indicesOf(shape).map(f),
});

/** The element at an index of a larger shape after broadcasting by NumPy's rules. */
export function broadcastAt(x: Nd, index: readonly number[]): number {
  const own = index.slice(index.length - x.shape.length);
  return at(
    x,
    own.map((i, axis) => (entry(x.shape, axis) === 1 ? 0 : i)),
  );
}

/** The index with the entry of one axis replaced. */
export const withAxis = (index: readonly number[], axis: number, value: number): number[] =>
  index.map((i, other) => (other === axis ? value : i));

/** The line along an axis through an index. */
export const lineAt = (x: Nd, index: readonly number[], axis: number): number[] =>
  Array.from({ length: entry(x.shape, axis) }, (_, i) => at(x, withAxis(index, axis, i)));

/** Reduces over axes with `f`, which gets the elements in row-major order; reduced axes are dropped. */
export function reduce(x: Nd, axes: readonly number[], f: (values: number[]) => number): Nd {
  const shape = x.shape.filter((_, axis) => !axes.includes(axis));
  const reduced = x.shape.map((size, axis) => (axes.includes(axis) ? size : 1));
  const offsets = indicesOf(reduced);
  return build(shape, (index) => {
    let next = 0;
    const base = x.shape.map((_, axis) => (axes.includes(axis) ? 0 : entry(index, next++)));
    return f(
      offsets.map((offset) =>
        at(
          x,
          base.map((i, axis) => i + entry(offset, axis)),
        ),
      ),
    );
  });
}

const formats = {
  f64: { fraction: 52, least: -1022, largest: Number.MAX_VALUE },
  f32: { fraction: 23, least: -126, largest: (2 - 2 ** -23) * 2 ** 127 },
  f16: { fraction: 10, least: -14, largest: 65504 },
  bf16: { fraction: 7, least: -126, largest: (2 - 2 ** -7) * 2 ** 127 },
} as const;

export type FloatName = keyof typeof formats;

/** The distance between neighbouring numbers of a format around a value. */
export function ulp(format: FloatName, value: number): number {
  const { fraction, least } = formats[format];
  const magnitude = Math.abs(value);
  if (!Number.isFinite(magnitude)) return 0;
  let exponent = magnitude === 0 ? least : Math.max(least, Math.floor(Math.log2(magnitude)));
  if (2 ** exponent > magnitude && exponent > least) exponent--;
  if (2 ** (exponent + 1) <= magnitude) exponent++;
  return 2 ** (exponent - fraction);
}

/** Rounds to the nearest number of a format, ties to even, by scaling and comparing; no bit tricks. */
export function round(format: FloatName, value: number): number {
  if (format === 'f64' || Number.isNaN(value) || !Number.isFinite(value) || value === 0) return value;
  const step = ulp(format, value);
  const scaled = Math.abs(value) / step;
  const low = Math.floor(scaled);
  const rest = scaled - low;
  const up = rest > 0.5 || (rest === 0.5 && low % 2 === 1);
  const result = (low + (up ? 1 : 0)) * step;
  return Math.sign(value) * (result > formats[format].largest ? Number.POSITIVE_INFINITY : result);
}

/** Mulberry32: a small generator for test data, unrelated to the one under test. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sum and sum of magnitudes in f64 with the rounding errors collected (Neumaier 1974). */
export function compensated(values: ArrayLike<number>): { sum: number; size: number } {
  let [sum, lost, size] = [0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = entry(values, i);
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
    size += Math.abs(value);
  }
  return { sum: sum + lost, size };
}

import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, broadcastAt, build, entry, type Nd, product } from './naive.ts';
import {
  compute,
  type DeviceOf,
  expectNd,
  filled,
  floats,
  had,
  holds,
  seeds,
  slack,
  stored,
  upload,
} from './support.ts';

const unitOf = (dtype: t.DType): number => (dtype === 'f64' ? 2 ** -53 : 2 ** -24);

/** The elements at some positions, normalised with the population mean and variance. */
function standardized(values: readonly number[], eps: number): number[] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return values.map((v) => (v - mean) / Math.sqrt(variance + eps));
}

const losses: Readonly<Record<string, readonly [typeof t.mseLoss, (a: number, b: number) => number]>> = {
  mseLoss: [t.mseLoss, (a, b) => (a - b) ** 2],
  l1Loss: [t.l1Loss, (a, b) => Math.abs(a - b)],
  // The definition, with the logarithms of σ and 1 − σ written out.
  binaryCrossEntropyWithLogits: [
    t.binaryCrossEntropyWithLogits,
    (x, y) => y * Math.log1p(Math.exp(-x)) + (1 - y) * Math.log1p(Math.exp(x)),
  ],
};

/** Normalisation, losses and attention against their definitions. */
export function layers(device: DeviceOf): void {
  const affine = fc.record({ weight: fc.boolean(), bias: fc.boolean(), eps: fc.constantFrom(undefined, 1e-5, 0.1) });

  test('groupNorm', () =>
    holds(
      [
        fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2, 3), fc.constantFrom(1, 2)),
        fc.array(fc.constantFrom(1, 2, 3), { maxLength: 2 }),
        affine,
        seeds,
      ],
      async ([batch, groups, width], places, given, seed) => {
        const channels = groups * width;
        const shape = [batch, channels, ...places];
        const size = width * product(places);
        for (const dtype of had(device(), floats)) {
          const x = filled(shape, seed, dtype);
          const [weight, bias] = [filled([channels], seed + 1, dtype), filled([channels], seed + 2, dtype)];
          const eps = given.eps ?? 1e-5;
          const data: number[] = [];
          for (let from = 0; from < x.data.length; from += size)
            data.push(...standardized(x.data.slice(from, from + size), eps));
          const normal: Nd = { shape, data };
          const scaled = build(shape, (i) => {
            const c = [entry(i, 1)];
            return stored(dtype, at(normal, i) * (given.weight ? at(weight, c) : 1) + (given.bias ? at(bias, c) : 0));
          });
          const options = {
            ...(given.weight ? { weight: upload(weight, dtype) } : {}),
            ...(given.bias ? { bias: upload(bias, dtype) } : {}),
            ...(given.eps === undefined ? {} : { eps }),
          };
          // Centring cancels: errors of the inputs' size, divided by the deviation, which eps keeps above √eps.
          const largest = Math.max(...x.data.map(Math.abs));
          const gain = given.weight ? Math.max(...weight.data.map(Math.abs)) : 1;
          const absolute =
            (32 * slack(device(), dtype) * unitOf(dtype) * Math.max(1, largest) * Math.max(1, gain)) / Math.sqrt(eps);
          await expectNd(device(), t.groupNorm(upload(x, dtype), groups, options), scaled, dtype, {
            ulps: 2,
            absolute,
          });
        }
      },
      25,
    ));

  test('layerNorm over one or more trailing axes', () =>
    holds(
      [fc.array(fc.constantFrom(1, 2, 3, 5), { minLength: 1, maxLength: 3 }), fc.nat(), affine, seeds],
      async (shape, n, given, seed) => {
        const axes = 1 + (n % shape.length);
        const own = shape.slice(-axes);
        const size = product(own);
        for (const dtype of had(device(), floats)) {
          const x = filled(shape, seed, dtype);
          const [weight, bias] = [filled(own, seed + 1, dtype), filled(own, seed + 2, dtype)];
          const eps = given.eps ?? 1e-5;
          const data: number[] = [];
          for (let from = 0; from < x.data.length; from += size)
            data.push(...standardized(x.data.slice(from, from + size), eps));
          const normal: Nd = { shape, data };
          const scaled = build(shape, (i) =>
            stored(
              dtype,
              at(normal, i) * (given.weight ? broadcastAt(weight, i) : 1) + (given.bias ? broadcastAt(bias, i) : 0),
            ),
          );
          const options = {
            ...(axes === 1 ? {} : { axes }),
            ...(given.weight ? { weight: upload(weight, dtype) } : {}),
            ...(given.bias ? { bias: upload(bias, dtype) } : {}),
            ...(given.eps === undefined ? {} : { eps }),
          };
          const largest = Math.max(...x.data.map(Math.abs));
          const gain = given.weight ? Math.max(...weight.data.map(Math.abs)) : 1;
          const absolute =
            (32 * slack(device(), dtype) * unitOf(dtype) * Math.max(1, largest) * Math.max(1, gain)) / Math.sqrt(eps);
          await expectNd(device(), t.layerNorm(upload(x, dtype), options), scaled, dtype, { ulps: 2, absolute });
        }
      },
      25,
    ));

  for (const [name, [loss, f]] of Object.entries(losses)) {
    test(`${name}: none, mean and sum, rounded once for halves`, () =>
      holds(
        [fc.array(fc.constantFrom(1, 2, 3, 5), { maxLength: 3 }), seeds],
        async (shape, seed) => {
          for (const dtype of had(device(), floats)) {
            const [a, b] = [filled(shape, seed, dtype), filled(shape, seed + 1, dtype)];
            const [x, y] = [upload(a, dtype), upload(b, dtype)];
            const each = a.data.map((v, i) => f(v, entry(b.data, i)));
            const sum = each.reduce((p, q) => p + q, 0);
            // Terms of the size of a·b or a² may cancel; each carries a few roundings.
            const sizes = a.data.map((v, i) => (1 + Math.abs(v) + Math.abs(entry(b.data, i))) ** 2);
            const size = sizes.reduce((p, q) => p + q, 0);
            const error = 4 * slack(device(), dtype) * unitOf(dtype);
            const all = { shape, data: each.map((v) => stored(dtype, v)) };
            const one = (value: number) => ({ shape: [], data: [stored(dtype, value)] });
            await expectNd(device(), loss(x, y, { reduction: 'none' }), all, dtype, {
              ulps: 1,
              absolute: (i) => entry(sizes, i) * error,
            });
            await expectNd(device(), loss(x, y, { reduction: 'sum' }), one(sum), dtype, {
              ulps: 1,
              absolute: size * error,
            });
            const absolute = (size * error) / each.length;
            await expectNd(device(), loss(x, y), one(sum / each.length), dtype, { ulps: 1, absolute });
            await expectNd(device(), loss(x, y, { reduction: 'mean' }), one(sum / each.length), dtype, {
              ulps: 1,
              absolute,
            });
          }
        },
        20,
      ));
  }

  test('crossEntropy picks the logarithm of the probability of the target', () =>
    holds(
      [fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 7 }), seeds],
      async (rows, classes, seed) => {
        for (const dtype of had(device(), floats)) {
          const logits = filled([rows, classes], seed, dtype);
          const target = Array.from({ length: rows }, (_, i) => (seed + 3 * i) % classes);
          const each = target.map((c, row) => {
            const line = logits.data.slice(row * classes, (row + 1) * classes);
            const largest = Math.max(...line);
            return Math.log(line.reduce((sum, v) => sum + Math.exp(v - largest), 0)) + largest - entry(line, c);
          });
          const sum = each.reduce((a, b) => a + b, 0);
          const [x, y] = [upload(logits, dtype), t.tensor(target, { dtype: 'i32' })];
          const absolute = 64 * rows * slack(device(), dtype) * unitOf(dtype);
          const none = { shape: [rows], data: each.map((v) => stored(dtype, v)) };
          await expectNd(device(), t.crossEntropy(x, y, { reduction: 'none' }), none, dtype, { ulps: 1, absolute });
          const total = { shape: [], data: [stored(dtype, sum)] };
          await expectNd(device(), t.crossEntropy(x, y, { reduction: 'sum' }), total, dtype, { ulps: 1, absolute });
          const mean = { shape: [], data: [stored(dtype, sum / rows)] };
          await expectNd(device(), t.crossEntropy(x, y), mean, dtype, { ulps: 1, absolute });
        }
      },
      20,
    ));

  const attention = fc.record({
    batch: fc.array(fc.constantFrom(1, 2), { maxLength: 2 }),
    queries: fc.integer({ min: 1, max: 4 }),
    keys: fc.integer({ min: 1, max: 5 }),
    dim: fc.integer({ min: 1, max: 4 }),
    width: fc.integer({ min: 1, max: 3 }),
    mask: fc.constantFrom('none', 'bool', 'float'),
    causal: fc.boolean(),
    scale: fc.constantFrom(undefined, 0.25),
  });

  test('scaledDotProductAttention with masks, causal or not', () =>
    holds(
      [attention, seeds],
      async ({ batch, queries, keys, dim, width, mask, causal, scale }, seed) => {
        for (const dtype of had(device(), floats)) {
          const tame = (x: Nd): Nd => ({ ...x, data: x.data.map((v) => stored(dtype, v / 8)) });
          const q = tame(filled([...batch, queries, dim], seed, dtype));
          const k = tame(filled([...batch, keys, dim], seed + 1, dtype));
          const v = tame(filled([...batch, keys, width], seed + 2, dtype));
          const drawn = filled([queries, keys], seed + 3, 'bool');
          // Every query attends to at least the first key.
          const seen = build([queries, keys], (i) => (i[1] === 0 ? 1 : at(drawn, i)));
          const bias = tame(filled([queries, keys], seed + 4, dtype));
          const factor = scale ?? 1 / Math.sqrt(dim);
          const expected = build([...batch, queries, width], (index) => {
            const [lead, row, column] = [
              index.slice(0, -2),
              entry(index, batch.length),
              entry(index, batch.length + 1),
            ];
            const scores = Array.from({ length: keys }, (_, key) => {
              if ((mask === 'bool' && at(seen, [row, key]) === 0) || (causal && key > row))
                return Number.NEGATIVE_INFINITY;
              let dot = 0;
              for (let d = 0; d < dim; d++) dot += at(q, [...lead, row, d]) * at(k, [...lead, key, d]);
              return dot * factor + (mask === 'float' ? at(bias, [row, key]) : 0);
            });
            const weights = scores.map((s) => Math.exp(s - Math.max(...scores)));
            const total = weights.reduce((a, b) => a + b, 0);
            return stored(
              dtype,
              weights.reduce((sum, w, key) => sum + (w / total) * at(v, [...lead, key, column]), 0),
            );
          });
          const masks = { none: undefined, bool: upload(seen, 'bool'), float: upload(bias, dtype) };
          const actual = t.scaledDotProductAttention(upload(q, dtype), upload(k, dtype), upload(v, dtype), {
            mask: masks[mask],
            causal,
            scale,
          });
          // Scores up to 32 are off by 2^−20 (f32), which moves weights by that share, and values are up to 4.
          const absolute = 4 * 256 * unitOf(dtype);
          await expectNd(device(), actual, expected, dtype, { ulps: 1, absolute });
        }
      },
      40,
    ));

  test('a query whose keys are all masked gets NaN; attention over no keys gives zeros', async () => {
    const x = t.ones([1, 2]);
    const nothing = t.tensor([[false]]);
    expect(await compute(device(), t.scaledDotProductAttention(x, x, x, { mask: nothing }))).toEqual([NaN, NaN]);
    const none = t.zeros([0, 2]);
    expect(await compute(device(), t.scaledDotProductAttention(x, none, none))).toEqual([0, 0]);
  });
}

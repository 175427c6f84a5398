import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { grad, vjp } from '../../../autograd/index.ts';
import * as t from '../../../tensor/index.ts';
import { composedAttention } from '../../../tensor/internal.ts';
import { planAttention, planAttentionGradient } from '../../../tensor/wasm/contractions/attention/plan.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';
import { generator, type Order, randomValues, runPlan } from './contractionsRunner.ts';

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly width: number;
}

const sizes = (most: number) =>
  fc.record({
    batch: fc.integer({ min: 1, max: 3 }),
    queries: fc.integer({ min: 1, max: most }),
    keys: fc.integer({ min: 1, max: most }),
    dim: fc.integer({ min: 1, max: 20 }),
    width: fc.integer({ min: 1, max: 20 }),
  });

const shapesOf = ({ batch, queries, keys, dim, width }: Sizes) =>
  [
    [batch, queries, dim],
    [batch, keys, dim],
    [batch, keys, width],
    [batch, queries, width],
    [batch, queries, keys],
  ] as const;

type Case = Sizes & { readonly dtype: 'f32' | 'f64'; readonly causal: boolean; readonly biased: boolean };

/** Output and gradients, on a memory full of NaN. */
function kernelResults(given: Case, order: Order = {}) {
  const { batch, queries, keys, dim, width, dtype, causal, biased } = given;
  const random = generator(queries * 31 + keys);
  const shapes = shapesOf(given);
  const [a, b, c, d, e] = shapes.map((shape) => randomValues(dtype, t.sizeOf(shape), random)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const shaped = (i: number): Shaped => ({ shape: shapes[i] as readonly number[] });
  const [q, k, v, g, bias] = [shaped(0), shaped(1), shaped(2), shaped(3), shaped(4)];
  const own = biased ? { bias } : {};
  const extra = biased ? { e } : {};
  return {
    inputs: { a, b, c, d, e },
    out: runPlan(
      planAttention(dtype, { q, k, v, ...own }, { causal }),
      dtype,
      { a, b, c, ...extra, out: batch * queries * width },
      order,
    ),
    gradients: runPlan(
      planAttentionGradient(dtype, { q, k, v, g, ...own }, { causal }),
      dtype,
      { a, b, c, d, ...extra, out: batch * (queries * dim + keys * dim + keys * width) },
      order,
    ),
  };
}
interface Shaped {
  readonly shape: readonly number[];
}

const cases = (most: number): fc.Arbitrary<Case> =>
  fc
    .tuple(sizes(most), fc.constantFrom<('f32' | 'f64')[]>('f32', 'f64'), fc.boolean(), fc.boolean())
    .map(([own, dtype, causal, biased]) => ({ ...own, dtype, causal, biased }));

describe('the kernels of attention', () => {
  test('give what the composed form gives, and write nowhere else', async () => {
    const reference = await t.openDevice('reference');
    await fc.assert(
      fc.asyncProperty(cases(40), async (given) => {
        const { inputs, out, gradients } = kernelResults(given);
        const { dtype, causal, biased } = given;
        const [q, k, v, g, bias] = Object.values(inputs).map((values, i) =>
          t.cast(t.tensor(values, { shape: shapesOf(given)[i] as readonly number[] }), 'f64'),
        ) as [t.Tensor, t.Tensor, t.Tensor, t.Tensor, t.Tensor];
        const composed = (...own: t.Tensor[]) => composedAttention({ causal }, ...own, ...(biased ? [bias] : []));
        const { value, pullback } = vjp(composed, q, k, v);
        const expected = await t.realize([value, ...pullback(g)], { device: reference });
        const lists = await Promise.all(expected.map((tensor) => t.read(tensor)));
        const { batch } = given;
        const rows = lists.slice(1).map((list) => list.length / batch);
        const row = rows.reduce((sum, length) => sum + length, 0);
        // Scores are sums of up to 20 products up to 4, so they and the weights are off by some hundred roundings.
        const unit = dtype === 'f32' ? 2 ** -24 : 2 ** -53;
        let worst = 0;
        const near = (actual: number, wanted: number, scale: number) => {
          worst = Math.max(worst, Math.abs(actual - wanted) / (400 * unit * scale));
        };
        const scaleOf = (list: ArrayLike<number>) => Array.from(list).reduce((m, x) => Math.max(m, Math.abs(x)), 4);
        const [first, ...others] = lists as [t.ValueArray, ...t.ValueArray[]];
        first.forEach((wanted, i) => {
          near(out[i] as number, wanted, scaleOf(first));
        });
        let start = 0;
        others.forEach((list, part) => {
          const length = rows[part] as number;
          list.forEach((wanted, i) => {
            const at = Math.floor(i / length) * row + start + (i % length);
            near(gradients[at] as number, wanted, 20 * scaleOf(list));
          });
          start += length;
        });
        expect(worst).toBeLessThanOrEqual(1);
      }),
      {
        numRuns: 25,
        seed: 20251125,
        examples: [
          [{ batch: 1, queries: 9, keys: 300, dim: 20, width: 5, dtype: 'f32', causal: true, biased: false }],
          [{ batch: 1, queries: 2, keys: 3, dim: 20, width: 270, dtype: 'f32', causal: false, biased: false }],
        ],
      },
    );
  });

  test('give the same bits in any order of units and for any number of threads', () => {
    const given: Case = {
      batch: 2,
      queries: 150,
      keys: 77,
      dim: 12,
      width: 9,
      dtype: 'f32',
      causal: true,
      biased: true,
    };
    const backwards = (count: number) => Array.from({ length: count }, (_, i) => count - 1 - i);
    const [one, other] = [kernelResults(given), kernelResults(given, { shuffle: backwards, threads: 3 })];
    expect(other.out).toEqual(one.out);
    expect(other.gradients).toEqual(one.gradients);
  });
});

describe('attention on wasm', () => {
  test('reads heads where they are, and masks that are repeated without repeating them', async () => {
    const [wasm, reference] = [await WasmDevice.open({ threads: 2 }), await t.openDevice('reference')];
    const heads = (x: t.Tensor) => t.permute(t.reshape(x, [2, -1, 4, 8]), [0, 2, 1, 3]);
    const loss = (x: t.Tensor) => {
      const seen = t.less(t.iota([19], 0, 'i32'), 17);
      return t.mean(t.square(t.scaledDotProductAttention(heads(x), heads(x), heads(t.mul(x, 2)), { mask: seen })));
    };
    const x = await t.realize(t.random.normal(t.key(3), [2, 19, 32]), { device: reference });
    const [expected, actual] = await Promise.all(
      [reference, wasm].map(async (device) => t.read(grad(loss)(await t.copy(x, { device })))),
    );
    actual?.forEach((value, i) => {
      expect(value).toBeCloseTo(expected?.[i] as number, 6);
    });
  });

  test('never stores the scores, forward or backward', async () => {
    const device = await WasmDevice.open({ threads: 1 });
    const [q, k, v] = await t.realize(
      [1, 2, 3].map((n) => t.random.normal(t.key(n), [8, 512, 16])),
      { device },
    );
    const loss = (q: t.Tensor, k: t.Tensor, v: t.Tensor) => t.mean(t.square(t.scaledDotProductAttention(q, k, v)));
    const gradient = grad(loss)(q as t.Tensor, k as t.Tensor, v as t.Tensor);
    const { workingBytes, kernels } = await t.explain(gradient, { device });
    const scores = 4 * 8 * 512 * 512;
    expect(workingBytes).toBeLessThan(scores / 2);
    expect(kernels.map(({ description }) => description)).toEqual(
      expect.arrayContaining(['attention', 'attentionGradient']),
    );
  });
});

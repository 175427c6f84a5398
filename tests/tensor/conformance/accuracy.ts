import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { compensated, entry, generator, ulp } from './naive.ts';
import { compute, type DeviceOf, had, widest } from './support.ts';

const n = 4_000_037;

/** Long sums and other operators that lose precision in plain f32. */
export function accuracy(device: DeviceOf): void {
  /** One rounding plus the error of sums in double or compensated single precision: log₂(n)·2^−48 of the magnitudes. */
  const near = (actual: unknown, { sum, size }: { sum: number; size: number }) => {
    const bound = ulp('f32', sum) + 4 * Math.log2(n) * 2 ** -48 * size;
    expect(Math.abs(Number(actual) - sum)).toBeLessThanOrEqual(bound);
  };

  test('2^24 ones in f32 add up exactly', async () => {
    expect(await compute(device(), t.sum(t.ones([2 ** 24])))).toEqual([16777216]);
    expect(await compute(device(), t.sum(t.ones([2 ** 12, 2 ** 12]), 0).sum())).toEqual([16777216]);
  });

  test('a long sum of noise is as precise as its largest rounding', async () => {
    const random = generator(1);
    const noise = Float32Array.from({ length: n }, () => random() - 0.5);
    const [sum] = await compute(device(), t.sum(t.tensor(noise)));
    near(sum, compensated(noise));
  });

  test('so is a long sum with a large mean, and the variance around it', async () => {
    const random = generator(2);
    const values = Float32Array.from({ length: n }, () => 1000 + random());
    const exact = compensated(values);
    const x = t.tensor(values);
    const [sum] = await compute(device(), t.sum(x));
    near(sum, exact);
    const [mean] = await compute(device(), t.mean(x));
    expect(Math.abs(Number(mean) - exact.sum / n)).toBeLessThanOrEqual(2 * ulp('f32', 1000));
    // The uniform distribution on [0, 1) has the variance 1/12. Values are rounded to multiples of 2^−14, and the
    // subtracted mean is off by as much: both move the variance by less than 2^−14.
    const [variance] = await compute(device(), t.variance(x));
    const centre = exact.sum / n;
    const spread = compensated(values.map((v) => (v - centre) ** 2)).sum / n;
    expect(Math.abs(Number(variance) - spread)).toBeLessThanOrEqual(2 ** -14 * 2 ** -13 + 4 * ulp('f32', spread));
  });

  test('one large value among many small ones is not lost', async () => {
    const values = new Float32Array(n).fill(1);
    values[0] = 2 ** 30;
    values[n - 1] = -(2 ** 30);
    const [sum] = await compute(device(), t.sum(t.tensor(values)));
    near(sum, { sum: n - 2, size: 2 ** 31 + n });
  });

  test('sums along every axis of a large matrix', async () => {
    const random = generator(3);
    const [rows, columns] = [1009, 499];
    const values = Float32Array.from({ length: rows * columns }, () => random() - 0.25);
    const x = t.tensor(values, { shape: [rows, columns] });
    const down = await compute(device(), t.sum(x, 0));
    const across = await compute(device(), t.sum(x, 1));
    for (let j = 0; j < columns; j += 83) {
      near(down[j], compensated(Array.from({ length: rows }, (_, i) => entry(values, i * columns + j))));
    }
    for (let i = 0; i < rows; i += 101) near(across[i], compensated(values.subarray(i * columns, (i + 1) * columns)));
  });

  test('the mean of halves whose sum is beyond their range', async () => {
    for (const dtype of had(device(), ['f16', 'bf16'])) {
      expect(await compute(device(), t.mean(t.full([1000], 1000, { dtype })))).toEqual([1000]);
    }
    // 100 · 30000 is far above 65504; so is every square.
    const x = t.tensor(
      Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 30000 : 29984)),
      { dtype: 'f16' },
    );
    expect(await compute(device(), t.mean(x))).toEqual([29984]);
    expect(await compute(device(), t.variance(x))).toEqual([64]);
    expect(
      await compute(device(), t.mseLoss(t.full([4], 300, { dtype: 'f16' }), t.zeros([4], { dtype: 'f16' }))),
    ).toEqual([Number.POSITIVE_INFINITY]);
    const mixed = t.tensor([300, 0, 0, 0], { dtype: 'f16' });
    expect(await compute(device(), t.mseLoss(mixed, t.zeros([4], { dtype: 'f16' })))).toEqual([22496]);
  });

  test('a long sum in f64 loses log₂(n) roundings, not n', async () => {
    if (!device().dtypes.has('f64')) return;
    const values = new Float64Array(n).fill(0.1);
    const { sum, size } = compensated(values);
    const [actual] = await compute(device(), t.sum(t.tensor(values)));
    // Blocks of 64 may be added one by one.
    expect(Math.abs(Number(actual) - sum)).toBeLessThanOrEqual((64 + Math.log2(n)) * 2 ** -53 * size);
  });

  test('running sums of many elements', async () => {
    const count = 1_000_003;
    const random = generator(4);
    const values = Float32Array.from({ length: count }, () => random());
    const sums = await compute(device(), t.cumsum(t.tensor(values), 0));
    for (const at of [0, 1, 4095, 65536, 500_000, count - 1]) {
      near(sums[at], compensated(values.subarray(0, at + 1)));
    }
  });

  test('long dot products', async () => {
    const random = generator(5);
    const length = 1_000_003;
    const [a, b] = [0, 1].map(() => Float32Array.from({ length }, () => random() - 0.5)) as [
      Float32Array,
      Float32Array,
    ];
    const products = Float64Array.from(a, (v, i) => v * entry(b, i));
    const exact = compensated(products);
    const [dot] = await compute(device(), t.matmul(t.tensor(a), t.tensor(b)));
    // In f64 one rounding remains; blocked f32 accumulation keeps within √n-like growth of 2^−24 of the magnitudes.
    const bound = device().name === 'reference' ? ulp('f32', exact.sum) : exact.size * 2 ** -24 * Math.sqrt(length);
    expect(Math.abs(Number(dot) - exact.sum)).toBeLessThanOrEqual(bound);
  });

  test('normalisation of data far from zero', async () => {
    const dtype = widest(device());
    const values = Array.from({ length: 64 }, (_, i) => 4096 + (i % 2));
    const normal = await compute(device(), t.layerNorm(t.tensor(values, { dtype }), { eps: 0 }));
    normal.forEach((value, i) => {
      expect(Math.abs(value - (i % 2 === 0 ? -1 : 1))).toBeLessThanOrEqual(1e-5);
    });
  });
}

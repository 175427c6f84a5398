import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { ReferenceDevice } from '../../../tensor/reference/device.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';
import { generator } from '../conformance/naive.ts';

/** Random programs are small; here is what the executor does with what is long, and with what is stored crosswise. */
const reference = new ReferenceDevice();
const devices = await Promise.all([1, 2, 3].map((threads) => WasmDevice.open({ threads })));

type Calculation = (...inputs: t.Tensor[]) => t.Tensor;

/** What a calculation gives on a device. */
async function valuesOn(device: t.Device, inputs: readonly t.Tensor[], f: Calculation): Promise<number[]> {
  const placed = await t.copy(inputs, { device });
  const result = await t.realize(f(...placed));
  const values = Array.from(await t.read(result));
  t.dispose([placed, result]);
  return values;
}

/** The same bits from every number of threads, and the reference's values but for the last places of sums. */
async function agree(inputs: readonly t.Tensor[], f: Calculation, bound = 0): Promise<void> {
  const expected = await valuesOn(reference, inputs, f);
  const [one, ...others] = await Promise.all(devices.map((device) => valuesOn(device, inputs, f)));
  for (const other of others) expect(other).toEqual(one);
  if (bound === 0) {
    expect(one).toEqual(expected);
    return;
  }
  expect(one?.length).toBe(expected.length);
  one?.forEach((value, i) => {
    const target = expected[i] as number;
    if (Number.isFinite(target))
      expect(Math.abs(value - target)).toBeLessThanOrEqual(bound * Math.max(1, Math.abs(target)));
    else expect(value).toBe(target);
  });
}

/** Whole numbers, which sums of all dtypes hold exactly, in a mixed order. */
const numbers = (shape: readonly number[], dtype: t.DType): t.Tensor =>
  t
    .arange(shape.reduce((a, b) => a * b, 1))
    .mul(7919)
    .remainder(101)
    .sub(dtype === 'u32' || dtype === 'bool' ? 0 : 50)
    .cast(dtype)
    .reshape(shape);

describe('long reductions', () => {
  const shapes: readonly (readonly [shape: readonly number[], axes: readonly number[]])[] = [
    [[70001], [0]],
    [[3, 50001], [1]],
    [[50001, 3], [0]],
    [[4099, 37], [0]],
    [[2, 16411, 5], [1]],
    [
      [5, 3, 41, 131],
      [0, 2, 3],
    ],
    [
      [40000, 1, 2],
      [0, 2],
    ],
  ];
  for (const [shape, axes] of shapes) {
    test(`of [${shape}] along ${axes}, in every dtype`, async () => {
      for (const dtype of ['f32', 'f64', 'i32', 'u32'] as const) {
        const x = numbers(shape, dtype);
        await agree([x], (y) => y.sum(axes));
        await agree([x], (y) => y.max(axes));
      }
      // A sum of halves is rounded to them once, however it is added up.
      for (const dtype of ['f16', 'bf16'] as const) {
        const x = numbers(shape, dtype);
        await agree([x], (y) => y.sum(axes).mul(2));
        await agree([x], (y) => y.max(axes));
      }
      await agree([numbers(shape, 'i32').equal(3)], (y) => t.any(y, axes));
    });
  }

  test('with what comes before and after them in the same kernel', async () => {
    const [x, y] = [t.random.normal(t.key(1), [3, 40001]), t.random.normal(t.key(2), [3, 40001])];
    await agree([x, y], (a, b) => a.sub(b).square().mean(), 1e-6);
    await agree([x, y], (a, b) => a.sub(b).square().mean(1).sqrt().add(1), 1e-6);
    await agree(
      [x, y],
      (a, b) =>
        a
          .mul(b)
          .sum(1)
          .add(a.slice([0, 7], [3, 8]).reshape([3])),
      1e-4,
    );
    await agree([x, y], (a, b) => t.concat([a, b], 1).exp().sum(1).log(), 1e-6);
    await agree([x.transpose(), y.transpose()], (a, b) => a.mul(b).sum(0).neg(), 1e-4);
    await agree([x.transpose()], (a) => t.softmax(a, 0), 1e-6);
    await agree([x.reshape([-1])], (a) => a.variance(), 1e-5);
  });

  test('of infinities and NaN', async () => {
    const { NaN: none, POSITIVE_INFINITY: top, NEGATIVE_INFINITY: bottom } = Number;
    for (const dtype of ['f32', 'f64'] as const) {
      for (const [first, last] of [
        [top, 1],
        [bottom, top],
        [none, 1],
        [1, bottom],
      ] as const) {
        const values = new Array<number>(70001).fill(0.5);
        values[10] = first;
        values[69000] = last;
        const x = t.tensor(values, { dtype });
        await agree([x], (a) => a.sum(), 1e-12);
        await agree([x], (a) => a.max());
        await agree([x.reshape([-1, 1]).broadcastTo([70001, 2])], (a) => a.sum(0), 1e-12);
      }
    }
  });

  test('lose nothing to cancellation between the pieces that they are added up in', async () => {
    const n = 1 << 17;
    const values = Float64Array.from({ length: n }, (_, i) => (i % 2 === 0 ? 1e16 : 1));
    for (let i = 0; i < n; i += 2) values[i] = i < n / 2 ? 1e16 : -1e16;
    const x = t.tensor(values, { dtype: 'f64' });
    for (const device of devices) expect(await valuesOn(device, [x], (a) => a.sum())).toEqual([n / 2]);
  });
});

describe('what is stored crosswise', () => {
  const dtypes = ['f32', 'f64', 'f16', 'bf16', 'i32', 'u32', 'bool'] as const;
  const crossed = fc.array(fc.integer({ min: 1, max: 21 }), { minLength: 2, maxLength: 4 }).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      order: fc.shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length },
      ),
      flipped: fc.subarray(shape.map((_, axis) => axis)),
      dtype: fc.constantFrom(...dtypes),
    }),
  );

  test('is permuted and flipped', async () => {
    await fc.assert(
      fc.asyncProperty(crossed, async ({ shape, order, flipped, dtype }) => {
        const x = numbers(shape, dtype);
        await agree([x], (a) => a.permute(order).flip(flipped));
      }),
      { numRuns: 60, seed: 4 },
    );
  });

  test('meets what is not', async () => {
    const square = numbers([37, 37], 'f32');
    await agree([square], (a) => a.add(a.transpose()));
    await agree([square, numbers([37], 'f32')], (a, b) =>
      a
        .transpose()
        .mul(b)
        .add(b.reshape([37, 1])),
    );
    await agree([numbers([9, 13, 22], 'f32'), numbers([22, 13, 9], 'f16')], (a, b) =>
      a.permute([1, 2, 0]).add(b.permute([1, 0, 2]).cast('f32')),
    );
    await agree([numbers([40, 30], 'f32')], (a) =>
      t
        .pad(a.transpose(), [
          [1, 2],
          [3, 0],
        ])
        .add(1),
    );
    await agree([numbers([40, 30], 'f64')], (a) => a.transpose().cast('f32').greater(0));
    await agree([numbers([16, 500], 'i32'), numbers([500, 16], 'bool')], (a, b) => t.where(b, a.transpose(), 5));
  });
});

test('short and long runs in turn, with plans that come and go', async () => {
  for (const threads of [1, 2, 3]) {
    const device = await WasmDevice.open({ threads, plans: 3 });
    const x = await t.realize(t.ones([300, 300]), { device });
    const jobs = Array.from({ length: 60 }, (_, i) => {
      const n = 280 + (i % 4);
      const part = x.slice([0, 0], [n, n]);
      return i % 3 === 0
        ? t.item(
            t
              .matmul(part, part)
              .sum()
              .div(n ** 3),
          )
        : t.item(part.slice([0, 0], [1, n]).sum().div(n));
    });
    expect(await Promise.all(jobs)).toEqual(jobs.map(() => 1));
  }
});

test('sums of f64 lose nothing where large numbers cancel, in whichever order', async () => {
  const device = await WasmDevice.open({ threads: 1 });
  const random = generator(3);
  const [rows, length] = [9, 50];
  const data = new Float64Array(rows * length);
  const sums: number[] = [];
  for (let row = 0; row < rows; row++) {
    const small = Array.from({ length: length - 20 }, () => Math.floor(random() * 2000 - 1000));
    const large = Array.from({ length: 10 }, () => Math.floor(random() * 2 ** 20) * 2 ** 50);
    // Large ones come before small ones and after them.
    const list = [...small, ...large, ...large.map((x) => -x)]
      .map((x) => ({ x, at: random() }))
      .sort((a, b) => a.at - b.at);
    list.forEach(({ x }, i) => {
      data[row * length + i] = x;
    });
    sums.push(small.reduce((a, b) => a + b));
  }
  const x = await t.realize(t.tensor(data, { shape: [rows, length] }), { device });
  const columns = await t.realize(t.add(t.transpose(x), 0), { device });
  const results = [t.sum(x, 1), t.sum(columns, 0), t.sum(t.reshape(x, [rows * length]))];
  const [alongRows, downColumns, all] = await Promise.all(
    (await t.realize(results, { device })).map(async (result) => Array.from(await t.read(result))),
  );
  expect(alongRows).toEqual(sums);
  expect(downColumns).toEqual(sums);
  expect(all).toEqual([sums.reduce((a, b) => a + b)]);
  device.close();
});

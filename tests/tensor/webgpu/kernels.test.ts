import { describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { adapter } from './adapters.ts';

/** Whole numbers from −4 to 4, of which every sum here is exact. */
function whole(shape: readonly number[], seed: number): t.Tensor {
  let state = seed;
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) % 9) - 4;
  });
  return t.tensor(data, { shape });
}

const conv = (x: t.Tensor, w: t.Tensor, groups: number, stride: number, dilation: number): t.Tensor =>
  t.conv(x, w, {
    strides: [stride, 1],
    before: [1, 2],
    after: [1, 0],
    inputDilation: [dilation, 1],
    kernelDilation: [1, 2],
    groups,
  });

/** Large enough for the kernels that divide work into blocks and tiles, and of sizes that these do not divide. */
const contractions: Readonly<Record<string, () => t.Tensor>> = {
  a·b: () => t.matmul(whole([70, 131], 1), whole([131, 66], 2)),
  'a·b, whole tiles': () => t.matmul(whole([128, 64], 1), whole([64, 64], 2)),
  a·bᵀ: () => t.matmul(whole([66, 64], 1), t.transpose(whole([84, 64], 2))),
  aᵀ·b: () => t.matmul(t.transpose(whole([70, 68], 1)), whole([70, 68], 2)),
  'aᵀ·bᵀ, batches': () => t.matmul(t.transpose(whole([3, 65, 67], 1)), t.transpose(whole([3, 43, 65], 2))),
  'a batch of a times one b': () => t.matmul(whole([3, 50, 52], 1), whole([52, 60], 2)),
  'one row': () => t.matmul(whole([1, 700], 1), whole([700, 411], 2)),
  'one column, from a slice': () => t.matmul(whole([411, 703], 1).slice([0, 1], [411, 701]), whole([700, 1], 2)),
  'many tiles': () => t.matmul(whole([1025, 20], 1), whole([20, 1030], 2)),
  conv: () => conv(whole([2, 8, 21, 19], 1), whole([26, 4, 3, 3], 2), 2, 1, 1),
  'conv with strides and dilation': () => conv(whole([3, 6, 15, 17], 1), whole([20, 6, 3, 2], 2), 1, 2, 3),
  'conv of one tap': () => conv1(whole([2, 40, 15, 17], 1), whole([30, 40, 1, 1], 2)),
};
const conv1 = (x: t.Tensor, w: t.Tensor): t.Tensor => t.conv2d(x, w);

/** The same, of which something else is stored. */
const finished = Object.fromEntries(
  Object.entries(contractions).map(([name, build]): [string, () => t.Tensor] => [
    `${name}, with a bias, a residual and an activation`,
    () => {
      const made = build();
      const [bias, residual] = [whole([made.shape.at(1) as number, 1], 5), whole([1, made.size], 6)];
      const across = t.reshape(bias, [-1, ...Array.from({ length: made.rank - 2 }, () => 1)]);
      const sum = t.add(t.add(made, across), t.reshape(residual, made.shape));
      return t.where(t.isFinite(sum), t.maximum(sum, -3), 0);
    },
  ]),
);

/** Rows long and short, few and many. */
const rows: Readonly<Record<string, () => t.Tensor>> = {
  'long rows': () => t.sum(whole([3, 5003], 1), 1),
  'long rows of halves': () => t.cast(t.max(t.cast(whole([3, 1203], 1), 'bf16'), 1), 'f32'),
  columns: () => t.sum(whole([301, 2050], 1), 0),
  'one after another': () => t.sub(whole([5, 2001], 1), t.max(whole([5, 2001], 1), 1, { keepDims: true })),
  'one long row': () => t.sum(whole([100_003], 1)),
  'few long rows, reduced twice and joined': () => {
    const x = whole([3, 20_001], 1);
    return t.mul(t.sub(t.sum(x, 1), t.max(t.neg(x), 1)), t.sum(x, 1));
  },
  'long rows of halves, reduced once': () => t.cast(t.sum(t.cast(whole([2, 9001], 1), 'f16'), 1), 'f32'),
  'long rows of integers and truth values': () => {
    const x = t.cast(whole([2, 30_000], 1), 'i32');
    return t.concat([t.sum(x, 1), t.max(x, 1), t.cast(t.any(t.equal(x, 5), 1), 'i32')]);
  },
  'long running sums': () => t.cumsum(whole([2, 5001], 1), 1),
  'long running sums of integers down the columns': () => t.cumsum(t.cast(whole([4096, 3], 1), 'i32'), 0),
  'long running sums of halves': () => t.cast(t.cumsum(t.cast(whole([2100], 1), 'bf16'), 0), 'f32'),
  'many additions to few places': () => {
    const index = t.cast(t.abs(whole([700, 3], 3)), 'i32');
    return t.scatterAdd(whole([9, 4], 1), index, whole([700, 3], 2), 0);
  },
  'many additions along the last axis': () => {
    const index = t.cast(t.mul(t.abs(whole([5, 99], 3)), 2), 'i32');
    return t.scatterAdd(t.cast(whole([6, 11], 1), 'f16'), index, t.cast(whole([5, 99], 2), 'f16'), 1).cast('f32');
  },
  'products of halves': () => {
    const [a, b] = [t.cast(whole([66, 131], 1), 'f16'), t.cast(whole([66, 131], 2), 'f16')];
    return t.cast(t.matmul(a, t.transpose(b)), 'f32');
  },
  'convolutions of halves': () => {
    const [x, w] = [t.cast(whole([2, 8, 21, 19], 1), 'bf16'), t.cast(whole([26, 4, 3, 3], 2), 'bf16')];
    return t.cast(conv(x, w, 2, 1, 1), 'f32');
  },
  'halves, odd rows': () => {
    const x = t.cast(whole([5, 101], 1), 'f16');
    return t.cast(t.sub(x, t.max(x, 1, { keepDims: true })), 'f32');
  },
};

/** Rows of 8, 4, 2 and 1 neighbours that an invocation does together, and what keeps some of them from being a vector. */
const neighbours: Readonly<Record<string, () => t.Tensor>> = {
  'a row and a column': () => t.add(t.mul(whole([5, 8], 1), whole([8], 2)), whole([5, 1], 3)),
  'a number for each channel': () => {
    const x = t.reshape(whole([2, 8, 12], 1), [2, 8, 4, 3]);
    return t.reshape(t.mul(x, t.reshape(whole([8], 2), [8, 1, 1])), [2, 2, 48]);
  },
  'a number for two neighbours': () => t.mul(whole([6, 4, 2], 1), whole([6, 4, 1], 2)),
  'backwards and across': () => t.add(t.flip(whole([8, 8], 1)), t.transpose(whole([8, 8], 2))),
  'slices that begin at 1 and at 4': () =>
    t.add(t.slice(whole([3, 12], 1), [0, 1], [3, 9]), t.slice(whole([3, 12], 2), [0, 4], [3, 12])),
  'joined at multiples of 4': () => t.neg(t.concat([whole([3, 8], 1), whole([3, 4], 2), whole([3, 12], 3)], 1)),
  'joined elsewhere': () => t.neg(t.concat([whole([3, 7], 1), whole([3, 1], 2), whole([3, 4], 3)], 1)),
  'with margins': () => {
    const vectors = t.pad(
      whole([3, 4], 1),
      [
        [1, 0],
        [4, 8],
      ],
      1,
    );
    return t.add(
      t.mul(
        vectors,
        t.pad(
          whole([4, 13], 2),
          [
            [0, 0],
            [1, 2],
          ],
          1,
        ),
      ),
      1,
    );
  },
  chosen: () => {
    const [a, b] = [whole([4, 12], 1), whole([4, 12], 2)];
    return t.where(t.less(a, b), a, t.mul(b, 2));
  },
  'truth values, kept': () => t.cast(t.cumsum(t.cast(t.less(whole([4, 12], 1), whole([12], 2)), 'i32'), 1), 'f32'),
  'taken rows': () => t.mul(t.take(whole([9, 8], 1), t.cast(t.abs(whole([7], 2)), 'i32')), whole([7, 8], 3)),
  'taken elements': () => t.take(whole([9, 8], 1), t.cast(t.abs(whole([8], 2)), 'i32'), 1),
  'rows, and sums of them': () => {
    const x = whole([5, 16], 1);
    const most = t.sub(x, t.max(x, 1, { keepDims: true }));
    return t.concat([most, t.sum(most, 1, { keepDims: true })], 1);
  },
  'sums of slices and of columns': () =>
    t.add(t.sum(t.slice(whole([9, 24], 1), [0, 3], [9, 19]), 1), t.sum(whole([24, 9], 2), 0)),
  'sums over two axes': () => t.sum(t.mul(whole([3, 6, 5, 8], 1), whole([6, 1, 8], 2)), [1, 3]),
  ...Object.fromEntries(
    (['f16', 'bf16'] as const).flatMap((dtype) =>
      [16, 12, 10, 9].map((width): [string, () => t.Tensor] => [
        `rows of ${width} ${dtype}`,
        () => {
          const x = t.cast(whole([5, width], 1), dtype);
          const most = t.sub(x, t.max(x, 1, { keepDims: true }));
          return t.cast(t.concat([t.add(most, t.cast(whole([width], 2), dtype)), t.mul(x, 2)], 1), 'f32');
        },
      ]),
    ),
  ),
};

if (adapter !== null) {
  const device = await WebGpuDevice.open();
  const { halves, subgroupSize } = device.traits;
  device.close();
  if (!halves) console.warn('WebGPU: kernels with the type f16 were compiled, NOT run: this adapter has no shader-f16');
  if (subgroupSize === undefined)
    console.warn('WebGPU: kernels with subgroups were compiled, NOT run: this adapter has none');
}

describe.skipIf(adapter === null)('webgpu kernels', () => {
  for (const software of [true, false]) {
    const kind = software ? 'for CPUs' : 'for GPUs';
    for (const [name, build] of Object.entries({ ...contractions, ...finished, ...rows, ...neighbours })) {
      test(`${kind}: ${name}`, async () => {
        const device = await WebGpuDevice.open({ software });
        const [expected, actual] = [build(), build()];
        await t.realize(expected, { device: await t.openDevice('reference') });
        await t.realize(actual, { device });
        expect(actual.shape).toEqual(expected.shape);
        const [a, e] = [await t.read(actual), await t.read(expected)];
        expect(a.findIndex((value, i) => value !== e[i])).toBe(-1);
        t.dispose(actual);
        device.close();
      });
    }
  }

  test('of many indices to add at, one that is out of range is reported', async () => {
    const device = await WebGpuDevice.open();
    const index = Int32Array.from({ length: 100 }, (_, i) => (i === 57 ? -3 : i % 5));
    const sum = t.scatterAdd(t.zeros([5]), t.tensor(index), t.ones([100]), 0);
    await expect(t.realize(sum, { device })).rejects.toThrow('index -3 is outside axis 0 of f32[5]');
    device.close();
  });
});

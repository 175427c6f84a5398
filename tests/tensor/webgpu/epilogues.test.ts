import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { generator } from '../conformance/naive.ts';
import { adapter } from './adapters.ts';

/** Numbers that no dtype here holds exactly. */
function numbers(shape: readonly number[], seed: number, dtype: t.DType): t.Tensor {
  const random = generator(seed);
  return t.tensor(
    Array.from({ length: t.sizeOf(shape) }, () => 2 * random() - 1),
    { shape, dtype },
  );
}

interface Contraction {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly made: (x: t.Tensor, w: t.Tensor) => t.Tensor;
  /** The shape of a bias. */
  readonly bias: readonly number[];
  readonly dtype: 'f16' | 'bf16';
}

const product = (dtype: 'f16' | 'bf16', x: readonly number[], w: readonly number[]): Contraction => ({
  dtype,
  x,
  w,
  made: t.matmul,
  bias: [w.at(-1) as number],
});
const conv = (dtype: 'f16' | 'bf16', size: number, height: number, width: number): Contraction => ({
  dtype,
  x: [2, 8, height, width],
  w: [20, 8, size, size],
  made: (x, w) => t.conv2d(x, w, { padding: size >> 1 }),
  bias: [20, 1, 1],
});

/** Small and large, of which four neighbours, two, or none but one share words of their own. */
const contractions: Readonly<Record<string, Contraction>> = {
  'a small product': product('f16', [5, 7], [7, 9]),
  'a product, rows of 68': product('f16', [70, 64], [64, 68]),
  'a product, rows of 66': product('bf16', [70, 64], [64, 66]),
  'a product, rows of 67': product('f16', [70, 64], [64, 67]),
  products: product('bf16', [3, 50, 52], [3, 52, 60]),
  'a small convolution': conv('bf16', 3, 4, 5),
  'a convolution of 16 × 15': conv('bf16', 3, 16, 15),
  'a convolution of 15 × 14': conv('bf16', 3, 15, 14),
  'a convolution of 13 × 15': conv('f16', 3, 13, 15),
};

const withBias = ({ x, w, made, bias }: Contraction, dtype: t.DType): t.Tensor =>
  t.add(made(numbers(x, 1, dtype), numbers(w, 2, dtype)), numbers(bias, 3, dtype));

describe.skipIf(adapter === null)('what contractions store that is not f32', () => {
  const open: WebGpuDevice[] = [];
  beforeAll(async () => {
    for (const software of [true, false])
      for (const fuse of [true, false]) open.push(await WebGpuDevice.open({ software, fuse }));
  });
  afterAll(() => {
    for (const device of open) device.close();
  });

  /** Computes in fewer kernels than unfused, to the same bits, with kernels for CPUs and for GPUs. */
  async function expectSame(build: () => t.Tensor, saved: number): Promise<void> {
    for (const software of [true, false]) {
      const [fused, unfused] = (software ? open.slice(0, 2) : open.slice(2)) as [WebGpuDevice, WebGpuDevice];
      const results: t.ValueArray[] = [];
      const kernels: number[] = [];
      for (const device of [fused, unfused]) {
        const result = build();
        kernels.push((await t.explain(result, { device })).kernels.length);
        results.push(await t.read(await t.realize(result, { device })));
        t.dispose(result);
      }
      expect(kernels).toEqual([1, 1 + saved]);
      const [first, second] = results as [t.ValueArray, t.ValueArray];
      expect(first.findIndex((value, i) => !Object.is(value, second[i]))).toBe(-1);
    }
  }

  for (const [name, contraction] of Object.entries(contractions)) {
    const { dtype } = contraction;
    test(`${name} in ${dtype}, with a bias, a residual and an activation`, async () => {
      await expectSame(() => {
        const sum = withBias(contraction, dtype);
        return t.relu(t.add(sum, numbers(sum.shape, 4, dtype)));
      }, 13);
    });
  }

  test('an activation of several operators, each of which rounds', async () => {
    await expectSame(() => t.silu(withBias(product('bf16', [70, 64], [64, 68]), 'bf16')), 10);
  });

  test('a product of halves to which f32 is added, and one of f32 that becomes halves', async () => {
    const contraction = product('bf16', [70, 64], [64, 68]);
    await expectSame(() => t.add(t.cast(withBias(contraction, 'bf16'), 'f32'), numbers([68], 5, 'f32')), 10);
    await expectSame(() => t.cast(withBias(contraction, 'f32'), 'f16'), 4);
  });

  test('truth values and whole numbers', async () => {
    const made = (columns: number): t.Tensor => t.matmul(numbers([70, 64], 1, 'f32'), numbers([64, columns], 2, 'f32'));
    await expectSame(() => t.less(made(68), numbers([68], 3, 'f32')), 3);
    await expectSame(() => t.cast(made(67), 'i32'), 1);
  });

  test('halves are written over what they are added to', async () => {
    for (const columns of [68, 67]) {
      for (const software of [true, false]) {
        const device = await WebGpuDevice.open({ software });
        const factors = [numbers([70, 64], 1, 'bf16'), numbers([64, columns], 2, 'bf16')] as const;
        const [x, w] = await t.realize(factors, { device });
        const [kept, given] = await t.realize([numbers([70, columns], 3, 'bf16'), numbers([70, columns], 3, 'bf16')], {
          device,
        });
        const expected = await t.realize(t.add(kept as t.Tensor, t.matmul(x, w)));
        const { buffers } = device.memory();
        const actual = await t.realize(t.add(given as t.Tensor, t.matmul(x, w)), { donate: given });
        expect(device.memory().buffers).toBe(buffers);
        expect(await t.read(actual)).toEqual(await t.read(expected));
        device.close();
      }
    }
  });
});

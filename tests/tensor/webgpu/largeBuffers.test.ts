import { describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { adapter, adapterWith, wrapped } from './adapters.ts';

/** Devices that pretend to bind only so many bytes of a buffer, and check that no more are bound. */
const adapterBinding = (bytes: number): GPUAdapter =>
  adapterWith((device) => ({
    limits: wrapped(device.limits, { maxStorageBufferBindingSize: bytes }),
    createBindGroup: (descriptor: GPUBindGroupDescriptor) => {
      for (const { binding, resource } of descriptor.entries)
        if (binding > 0) expect((resource as GPUBufferBinding).size ?? 256).toBeLessThanOrEqual(bytes);
      return device.createBindGroup(descriptor);
    },
  }));

/** Whole numbers from −4 to 4, of which every sum here is exact. */
function whole(shape: readonly number[], seed: number): t.Tensor {
  const data = Float32Array.from({ length: t.sizeOf(shape) }, (_, i) => ((Math.imul(i + seed, 40_503) >>> 7) % 9) - 4);
  return t.tensor(data, { shape });
}

/** For each graph, the most bytes that a kernel may see of a buffer: half of the largest, or a third. */
const graphs: Readonly<Record<string, readonly [bytes: number, build: () => t.Tensor]>> = {
  'in three pieces': [1536, () => t.neg(whole([1000], 1))],
  'added, transposed and joined': [
    2048,
    () => {
      const x = whole([25, 40], 1);
      return t.concat([t.add(t.transpose(x), whole([40, 25], 2)), whole([3, 25], 3)]);
    },
  ],
  'of halves': [1024, () => t.cast(t.add(t.cast(whole([1001], 1), 'f16'), t.cast(whole([1001], 2), 'f16')), 'f32')],
  'of halves that share words': [
    512,
    () => t.cast(t.concat([t.transpose(t.cast(whole([21, 19], 1), 'bf16')), t.cast(whole([2, 21], 2), 'bf16')]), 'f32'),
  ],
  'of truth values': [2048, () => t.logicalNot(t.less(whole([1000], 1), 0))],
  'as operands and results of a product': [8192, () => t.matmul(whole([64, 60], 1), whole([60, 64], 2))],
  'as a large product': [16_384, () => t.matmul(whole([70, 100], 1), t.transpose(whole([66, 100], 2)))],
  'of a convolution': [8192, () => t.conv2d(whole([2, 6, 15, 17], 1), whole([8, 6, 3, 3], 2), { padding: 1 })],
  'summed along rows and columns': [2048, () => t.add(t.sum(whole([30, 30], 1), 0), t.max(whole([30, 30], 2), 1))],
  'summed in parts': [32_768, () => t.sum(whole([2, 6000], 1), 1)],
  'of running sums, and their order': [
    16_384,
    () => t.add(t.cumsum(whole([5000], 1), 0), t.cast(t.argSort(whole([5000], 2), 0), 'f32')),
  ],
  'that elements are added to': [
    2048,
    () => t.scatterAdd(whole([300, 3], 1), t.cast(t.abs(whole([40, 3], 2)), 'i32'), whole([40, 3], 3), 0),
  ],
};

describe.skipIf(adapter === null)('buffers larger than what a kernel can see at once', () => {
  for (const [name, [bytes, build]] of Object.entries(graphs)) {
    test(name, async () => {
      for (const software of [true, false]) {
        const device = await WebGpuDevice.open({ adapter: adapterBinding(bytes), software });
        const [expected, actual] = [build(), build()];
        await t.realize(expected, { device: await t.openDevice('reference') });
        await t.realize(actual, { device });
        expect(Array.from(await t.read(actual))).toEqual(Array.from(await t.read(expected)));
        device.close();
      }
    });
  }

  test('are written over in place, and bad indices in them are found', async () => {
    const device = await WebGpuDevice.open({ adapter: adapterBinding(2048) });
    const x = await t.realize(t.iota([1000], 0, 'f32'), { device });
    device.resetPeak();
    const before = device.memory().bytes;
    const next = await t.realize(t.mul(x, 2), { donate: x });
    expect(device.memory().peakBytes).toBe(before);
    expect((await t.read(next))[999]).toBe(1998);
    await expect(t.realize(t.gather(next, t.tensor([1000], { dtype: 'i32' }), 0))).rejects.toThrow('index 1000');
    device.close();
  });

  test('are refused where a kernel would need too many pieces', async () => {
    const device = await WebGpuDevice.open({ adapter: adapterBinding(256) });
    await expect(t.realize(t.neg(t.tensor(new Float32Array(1000))), { device })).rejects.toThrow(
      "webgpu: what the kernel 'neg' reads and writes is too large for this device: it lies in 32 pieces of at most 256 bytes, and a kernel sees at most 8 at once; compute in smaller parts",
    );
    expect(device.memory().buffers).toBeLessThanOrEqual(1);
    device.close();
  });
});

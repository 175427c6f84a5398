import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { adapter, adapterWith, adapterWithLimits, wrapped } from './adapters.ts';

const values = async (x: t.Tensor): Promise<number[]> => Array.from(await t.read(x));

describe.skipIf(adapter === null)('the WebGPU device', () => {
  test('steps that differ only in numbers share one plan', async () => {
    const device = await WebGpuDevice.open();
    const x = t.tensor([1, 2, 3], { device });
    for (let step = 0; step < 20; step++) {
      expect(await values(t.mul(t.add(x, step), 0.5 + step))).toEqual(
        [1, 2, 3].map((one) => (one + step) * (0.5 + step)),
      );
    }
    expect(device.plansCompiled).toBe(1);
    device.close();
  });

  test('plans unused for longest go, and come back when they are needed', async () => {
    const device = await WebGpuDevice.open({ plans: 2 });
    const x = t.tensor([1, 4], { device });
    for (const f of [t.neg, t.sqrt, t.square, t.neg, t.square]) await t.read(f(x));
    expect(device.plansCompiled).toBe(4);
    device.close();
  });

  test('results without fusion are the same', async () => {
    const fused = await WebGpuDevice.open();
    const plain = await WebGpuDevice.open({ fuse: false });
    const build = () =>
      t.softmax(
        t.add(
          t.tensor([
            [1, 2, 3],
            [4, 5, 9],
          ]),
          1,
        ),
      );
    const read = async (device: t.Device) => values(await t.realize(build(), { device }));
    expect(await read(plain)).toEqual(await read(fused));
  });

  test('more groups than fit along one dimension are spread over two', async () => {
    const device = await WebGpuDevice.open({ adapter: adapterWithLimits({ maxComputeWorkgroupsPerDimension: 7 }) });
    const x = Float32Array.from({ length: 3000 }, (_, i) => i);
    expect(await values(t.add(t.tensor(x, { device }), 1))).toEqual(Array.from(x, (value) => value + 1));
    const rows = t.tensor(x, { shape: [60, 50], device });
    expect(await values(rows.sum(1))).toEqual(Array.from({ length: 60 }, (_, row) => 2500 * row + 1225));
    device.close();
  });

  test('a run is one submission, an upload is followed by one, and shaders are compiled at the same time', async () => {
    let [submissions, written, open, mostOpen] = [0, 0, 0, 0];
    const device = await WebGpuDevice.open({
      adapter: adapterWith((device) => ({
        queue: wrapped(device.queue, {
          submit: (commands: readonly GPUCommandBuffer[]) => {
            submissions++;
            written = 0;
            device.queue.submit(commands);
          },
          writeBuffer: (...given: Parameters<GPUQueue['writeBuffer']>) => {
            written++;
            device.queue.writeBuffer(...given);
          },
        }),
        createComputePipeline: () => {
          throw new Error('a pipeline that everything waits for');
        },
        createComputePipelineAsync: async (descriptor: GPUComputePipelineDescriptor) => {
          mostOpen = Math.max(mostOpen, ++open);
          const pipeline = await device.createComputePipelineAsync(descriptor);
          open--;
          return pipeline;
        },
      })),
    });
    const x = await t.realize(t.tensor([1, 2, 3, 4], { shape: [2, 2], device }));
    [submissions, mostOpen] = [0, 0];
    const product = t.matmul(t.exp(x), x);
    const [kept, sums] = await t.realize([t.matmul(product, product), t.cumsum(product, 0).mul(3)] as const);
    expect([submissions, written]).toEqual([1, 0]);
    expect(mostOpen).toBeGreaterThanOrEqual(4);
    t.dispose([kept, sums]);
    submissions = 0;
    t.tensor([5, 6], { device });
    expect([submissions, written]).toEqual([1, 0]);
    device.close();
  });

  test('a process that has computed ends by itself', async () => {
    const program = `import { openDevice, read, setDefaultDevice, tensor } from './tensor/index.ts';
      const device = await openDevice('webgpu');
      setDefaultDevice(device);
      console.log((await read(tensor([1, 2]).add(1).sum())).join());`;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
    expect(stdout.trim()).toBe('5');
  });
});

describe.skipIf(adapter === null)('what goes wrong on the WebGPU device', () => {
  test('a tensor that is too large is refused by name and numbers, and the device goes on', async () => {
    const device = await WebGpuDevice.open({ adapter: adapterWithLimits({ maxBufferSize: 1000 }) });
    const before = device.memory();
    const message =
      "webgpu: f32[500] that the kernel 'exp' writes is too large for this device: it has 2000 bytes, and a buffer at most 1000";
    await expect(t.realize(t.exp(t.zeros([500])), { device })).rejects.toThrow(message);
    await expect(t.realize(t.tensor(new Float32Array(500)), { device })).rejects.toThrow(/2000 bytes.*at most 1000/);
    expect(device.memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
    expect(await values(t.add(t.tensor([1], { device }), 1))).toEqual([2]);
    device.close();
  });

  test('an error of validation names the kernel', async () => {
    const device = await WebGpuDevice.open({
      adapter: adapterWithLimits({ maxComputeWorkgroupsPerDimension: 2 ** 20 }),
    });
    const x = t.tensor(new Float32Array(64 * 65_536 + 1), { device });
    await expect(t.realize(t.tanh(x))).rejects.toThrow(/^webgpu: the kernel 'tanh' failed: .*65535/);
    expect(device.memory().buffers).toBe(1);
    expect(await values(x.slice([0], [2]).add(1))).toEqual([1, 1]);
    device.close();
  });

  test('where memory is short, what is only kept goes first; then the error names the kernel', async () => {
    /** Devices that pretend to have so many bytes. */
    const withMemory = (bytes: number): GPUAdapter =>
      adapterWith((device) => {
        let used = 0;
        let refused = false;
        return {
          createBuffer: (descriptor: GPUBufferDescriptor) => {
            refused = used + descriptor.size > bytes;
            const size = refused ? 0 : descriptor.size;
            used += size;
            const buffer = device.createBuffer(descriptor);
            const destroy = buffer.destroy.bind(buffer);
            buffer.destroy = () => {
              used -= size;
              return destroy();
            };
            return buffer;
          },
          popErrorScope: async () => {
            const wasRefused = refused;
            refused = false;
            return (await device.popErrorScope()) ?? (wasRefused ? { message: 'pretended' } : null);
          },
        };
      });
    const device = await WebGpuDevice.open({ adapter: withMemory(100_000) });
    // Leaves a free buffer of 80,000 bytes, which has to go before there is room for one of 40,000.
    t.dispose(await t.realize(t.exp(t.zeros([20_000])), { device }));
    const kept = await t.realize(t.exp(t.zeros([10_000])), { device });
    const before = device.memory();
    await expect(t.realize(t.tanh(t.zeros([20_000])), { device })).rejects.toThrow(
      /not enough memory for 80128 bytes, which the kernel 'tanh' needs: pretended; dispose of/,
    );
    expect(device.memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
    const large = t.tensor(new Float32Array(20_000), { device });
    await expect(t.read(t.neg(large))).rejects.toThrow(/80128 bytes, which an upload needs/);
    t.dispose(large);
    expect(await values(kept.sum())).toEqual([10_000]);
    device.close();
  });

  test('a lost device rejects what is asked of it and says what to do', async () => {
    const device = await WebGpuDevice.open();
    const x = t.tensor([1, 2], { device });
    const running = t.read(t.sum(t.exp(x)));
    device.close();
    await expect(running).rejects.toThrow(/the device was lost.*openDevice\('webgpu'\)/);
    await expect(t.read(t.neg(x))).rejects.toThrow(/the device was lost/);
    await expect(t.read(x)).rejects.toThrow(/the device was lost/);
    t.dispose(x);
    const another = await WebGpuDevice.open();
    expect(await values(t.neg(t.tensor([1], { device: another })))).toEqual([-1]);
  });
});

describe.skipIf(adapter === null)('plans of the WebGPU device', () => {
  test('explain names kernels, what they write, move and compute, and runs nothing', async () => {
    const device = await WebGpuDevice.open();
    const [x, w] = await t.realize([t.ones([64, 32]), t.ones([32, 48])], { device });
    const before = device.memory();
    device.resetPeak();
    const report = await t.explain(t.softmax(t.matmul(x, w)));
    expect(device.memory()).toEqual({ ...before, peakBytes: before.bytes, peakBuffers: before.buffers });
    expect(report.kernels.length).toBe(2);
    expect(report.kernels[0]).toEqual({
      description: 'matmul',
      writes: ['f32[64, 48]'],
      bytes: 4 * (64 * 32 + 32 * 48 + 64 * 48),
      flops: 2 * 64 * 32 * 48,
    });
    expect(report.kernels[1]?.description).toMatch(/max.*exp/);
    expect(report.workingBytes).toBeGreaterThanOrEqual(4 * 64 * 48);
    expect(t.formatPlan(report)).toMatch(/^webgpu: .*\n.*FLOP.*f32\[64, 48\].*matmul\n(.*\n)*.*2 kernels/);
    device.close();
  });

  for (const stamps of [true, false]) {
    test(`profile runs, keeps nothing and times every kernel ${stamps ? 'with timestamps' : 'one by one'}`, async () => {
      const features = stamps ? (adapter as GPUAdapter).features : new Set<string>();
      const device = await WebGpuDevice.open({ adapter: adapterWith(() => ({ features })) });
      const x = await t.realize(t.ones([256, 256]), { device });
      const before = device.memory().bytes;
      const tree = { a: t.matmul(x, x).tanh(), b: x.sum(), c: t.gather(x, t.tensor([[3]], { dtype: 'i32' }), 0) };
      const start = performance.now();
      const { kernels } = await t.profile(tree);
      const wall = performance.now() - start;
      expect(device.memory().bytes).toBe(before + 4);
      const total = kernels.reduce((sum, { milliseconds = Number.NaN }) => sum + milliseconds, 0);
      expect(kernels.every(({ milliseconds = -1 }) => milliseconds >= 0)).toBe(true);
      expect(total).toBeGreaterThan(0);
      expect(total).toBeLessThan(wall);
      await expect(t.profile(t.gather(x, t.tensor([[300]], { dtype: 'i32' }), 0))).rejects.toThrow('index 300');
      device.close();
    });
  }
});

/** Counts the buffers that a device has made. */
function counting(): { readonly adapter: GPUAdapter; count: () => number } {
  let made = 0;
  const createBuffer = (device: GPUDevice) => (descriptor: GPUBufferDescriptor) => {
    made++;
    return device.createBuffer(descriptor);
  };
  return { adapter: adapterWith((device) => ({ createBuffer: createBuffer(device) })), count: () => made };
}

describe.skipIf(adapter === null)('memory of the WebGPU device', () => {
  test('1,000 steps of a training make no buffer and hold memory flat after the first few', async () => {
    const { adapter, count } = counting();
    const device = await WebGpuDevice.open({ adapter });
    const batch = t.tensor([1, 2, 3, 4, 5, 6], { shape: [3, 2], device });
    const rows = t.tensor([2, 2, 0, 0], { shape: [2, 2], dtype: 'i32', device });
    let state = await t.realize({ w: t.ones([2, 2]), m: t.zeros([2, 2]), step: t.zeros([]) }, { device });
    let [made, bytes, peak] = [0, 0, 0];
    for (let step = 0; step < 1000; step++) {
      const error = t.matmul(t.gather(batch, rows, 0), state.w).sub(1);
      const gradient = t.matmul(t.transpose(t.gather(batch, rows, 0)), error);
      const m = state.m.mul(0.9).add(gradient);
      const next = { w: state.w.sub(m.mul(1e-3)), m, step: state.step.add(1) };
      const [updated, loss] = await t.realize([next, error.square().mean()] as const, { donate: state });
      state = updated;
      await t.read(loss);
      t.dispose(loss);
      if (step === 5) [made, bytes, peak] = [count(), device.memory().bytes, device.memory().peakBytes];
    }
    expect(await values(state.step)).toEqual([1000]);
    expect(count()).toBe(made);
    expect(device.memory()).toMatchObject({ bytes, peakBytes: peak });
    device.close();
  });

  test('donated leaves are written over where they are last read', async () => {
    const device = await WebGpuDevice.open();
    const size = 1000;
    const numbers = (of: (i: number) => number) => Float32Array.from({ length: size }, (_, i) => of(i));
    const place = (of: (i: number) => number, dtype: t.DType) =>
      t.realize(t.cast(t.tensor(numbers(of)), dtype), { device });
    for (const dtype of ['f32', 'f16', 'i32', 'bool'] as const) {
      const given = { w: await place((i) => i % 7, dtype), m: await place((i) => i % 3, dtype) };
      const start = device.memory();
      device.resetPeak();
      const m = dtype === 'bool' ? t.logicalNot(given.m) : given.m.add(1);
      const w = dtype === 'bool' ? t.logicalOr(given.w, m) : given.w.add(m.mul(2));
      const next = await t.realize({ w, m }, { donate: given });
      expect(device.memory()).toMatchObject({ peakBytes: start.bytes, peakBuffers: start.buffers });
      const truth = (of: (i: number) => boolean) => (i: number) => (of(i) ? 1 : 0);
      const [expectedM, expectedW] =
        dtype === 'bool'
          ? [truth((i) => i % 3 === 0), truth((i) => i % 7 !== 0 || i % 3 === 0)]
          : [(i: number) => (i % 3) + 1, (i: number) => (i % 7) + 2 * ((i % 3) + 1)];
      expect(await values(t.cast(next.m, 'f32'))).toEqual(Array.from(numbers(expectedM)));
      expect(await values(t.cast(next.w, 'f32'))).toEqual(Array.from(numbers(expectedW)));
      t.dispose(next);
    }
    device.close();
  });

  test('what is read elsewhere than where it would be overwritten is not', async () => {
    const device = await WebGpuDevice.open();
    const x = t.tensor([1, 2, 3, 4], { device });
    expect(await values(await t.realize(t.add(x, t.flip(x, 0)), { donate: x }))).toEqual([5, 5, 5, 5]);
    const y = t.tensor([1, 2, 3, 4], { device });
    const bits = await t.realize(t.cast(y.mul(2), 'i32'), { donate: y });
    expect(await values(bits)).toEqual([2, 4, 6, 8]);
    const rows = t.tensor([1, 2, 3, 4], { shape: [2, 2], device });
    expect(await values(await t.realize(rows.sub(rows.max(1, { keepDims: true })), { donate: rows }))).toEqual([
      -1, 0, -1, 0,
    ]);
    device.close();
  });
});

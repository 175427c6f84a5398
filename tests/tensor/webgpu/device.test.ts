import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { findGpu } from '../../../tensor/webgpu/gpu.ts';

const available = Boolean(await (await findGpu())?.requestAdapter());

describe.skipIf(!available)('the WebGPU device', () => {
  test('steps that differ only in numbers share one plan', async () => {
    const device = await WebGpuDevice.open();
    const x = t.tensor([1, 2, 3], { device });
    for (let step = 0; step < 20; step++) {
      const values = await t.read(t.mul(t.add(x, step), 0.5 + step));
      expect([...values]).toEqual([1, 2, 3].map((one) => (one + step) * (0.5 + step)));
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
    const read = async (device: t.Device) => [...(await t.read(await t.realize(build(), { device })))];
    expect(await read(plain)).toEqual(await read(fused));
  });

  test('a tensor that is too large for the device is refused, and the device goes on', async () => {
    const device = await WebGpuDevice.open();
    const before = device.memory();
    await expect(t.realize(t.zeros([2 ** 31]), { device })).rejects.toThrow(/too large for this device/);
    expect(device.memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
    expect([...(await t.read(t.add(t.tensor([1], { device }), 1)))]).toEqual([2]);
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
    expect([...(await t.read(t.neg(t.tensor([1], { device: another }))))]).toEqual([-1]);
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

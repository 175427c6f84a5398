import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { programs } from '../../../autograd/testing/index.ts';
import { ReferenceDevice } from '../../../tensor/reference/device.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { chainPeaks, lookupPeaks } from '../peaks.ts';
import { expectClose, outcome } from '../randomPrograms.ts';
import { adapter } from './adapters.ts';

const reference = new ReferenceDevice();
const seed = 20260;

describe.skipIf(adapter === null)('random programs on WebGPU', () => {
  test('and their gradients agree with the reference, fused and unfused', async () => {
    const [fused, unfused] = [await WebGpuDevice.open({ software: false }), await WebGpuDevice.open({ fuse: false })];
    const smooth = programs({ smooth: true, dtypes: ['f32'], maxSteps: 8, minSize: 0 });
    await fc.assert(
      fc.asyncProperty(smooth, async (program) => {
        const expected = await outcome(program, reference, true);
        // f32 rounds at each step and in the gradients, and each rounding may be amplified a few times.
        expectClose(await outcome(program, fused, true), expected, 1e-4);
        expectClose(await outcome(program, unfused, true), expected, 1e-4);
      }),
      { numRuns: 12, seed },
    );
    expect([fused.memory().bytes, unfused.memory().bytes]).toEqual([0, 0]);
    fused.close();
    unfused.close();
  });

  test('on integers and truth values agree exactly', async () => {
    const device = await WebGpuDevice.open();
    await fc.assert(
      fc.asyncProperty(programs({ dtypes: ['i32', 'u32', 'bool'], maxSteps: 8, minSize: 0 }), async (program) => {
        expect(await outcome(program, device, false)).toEqual(await outcome(program, reference, false));
      }),
      { numRuns: 20, seed },
    );
    device.close();
  });
});

describe.skipIf(adapter === null)('the WebGPU executor', () => {
  test('needs less memory for checkpointed graphs', async () => {
    const device = await WebGpuDevice.open();
    const { plain, saved } = await chainPeaks(device);
    expect(saved).toBeLessThan(0.7 * plain);
    device.close();
  });

  test('writes a step with lookups over what it is given, in no more memory than WebAssembly', async () => {
    const [device, wasm] = [await WebGpuDevice.open(), await WasmDevice.open({ threads: 1 })];
    const [peaks, wanted] = [await lookupPeaks(device), await lookupPeaks(wasm)];
    expect(peaks.donating).toBeLessThanOrEqual(1.05 * wanted.donating);
    device.close();
    wasm.close();
  });
});

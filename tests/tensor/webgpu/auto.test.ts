import { afterEach, describe, expect, test, vi } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { openTestedGpu } from '../../../tensor/webgpu/auto.ts';
import { adapter, adapterWith, wrapped } from './adapters.ts';

/** WebGPU that has one adapter. */
const gpuWith = (one: GPUAdapter | null): GPU => ({ requestAdapter: async () => one }) as unknown as GPU;

/** The adapter, pretending to be a GPU. */
const asGpu = (one: GPUAdapter): GPUAdapter =>
  wrapped(one, {
    info: { vendor: 'a maker', architecture: 'x', description: 'a card', device: '', isFallbackAdapter: false },
  });

describe.skipIf(adapter === null)('a device that is chosen by itself', () => {
  afterEach(() => vi.restoreAllMocks());

  test('is a GPU that computes rightly', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const device = await openTestedGpu({ gpu: gpuWith(asGpu(adapterWith(() => ({})))) });
    expect(device?.description).toBe('webgpu: a card, x');
    expect(await t.read(t.neg(t.tensor([1, 2], { device: device as t.Device })))).toEqual(Float32Array.of(-1, -2));
    expect(device?.memory().buffers).toBe(1);
    expect(warn).not.toHaveBeenCalled();
    device?.close();
  });

  test('is none that computes wrongly, cannot compile or does not open: a warning says so', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const withShaders = (change: (code: string) => string): GPUAdapter =>
      adapterWith((device) => ({
        createShaderModule: (descriptor: GPUShaderModuleDescriptor) =>
          device.createShaderModule({ ...descriptor, code: change(descriptor.code) }),
      }));
    const wrong = withShaders((code) => code.replace(/\bk\+\+/g, 'k += 2').replace(/\bk \+= 4\b/g, 'k += 8'));
    expect(await openTestedGpu({ gpu: gpuWith(asGpu(wrong)) })).toBeUndefined();
    expect(warn).toHaveBeenLastCalledWith(
      expect.stringMatching(/^webgpu: a card is not used, because it failed a test: .* instead of /),
    );
    const broken = withShaders((code) => `${code}\nnonsense`);
    expect(await openTestedGpu({ gpu: gpuWith(asGpu(broken)) })).toBeUndefined();
    expect(warn).toHaveBeenLastCalledWith(expect.stringMatching(/cannot be compiled/));
    const closed = wrapped(adapter as GPUAdapter, {
      requestDevice: () => Promise.reject(new Error('no device to be had')),
    });
    expect(await openTestedGpu({ gpu: gpuWith(asGpu(closed)) })).toBeUndefined();
    expect(warn).toHaveBeenLastCalledWith(expect.stringMatching(/no device to be had$/));
  });

  test('is none where there is no adapter, or one that is a CPU', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    expect(await openTestedGpu({ gpu: gpuWith(null) })).toBeUndefined();
    const software = wrapped(asGpu(adapterWith(() => ({}))), {
      info: { description: 'llvmpipe', isFallbackAdapter: false },
    });
    expect(await openTestedGpu({ gpu: gpuWith(software) })).toBeUndefined();
    expect(warn).not.toHaveBeenCalled();
  });
});

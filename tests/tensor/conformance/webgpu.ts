import { describe, test } from 'vitest';
import { openDevice } from '../../../tensor/index.ts';
import { findGpu } from '../../../tensor/webgpu/runtime/gpu.ts';
import { conformance, suites } from './index.ts';

/** Suites that compile the largest kernels: about half of the time on SwiftShader. */
const large = ['layers', 'spatial', 'conv', 'matmul', 'einsum', 'activations', 'evaluation'];

/**
 * Leaves the special values out: shaders may assume that NaN and infinity do not occur, and drivers do, so results are not
 * determined.
 */
const left = Object.keys(suites).filter((name) => name !== 'special values' && !large.includes(name));

/** Registers half of the conformance suites on WebGPU; two files run one half each, in parallel. */
export async function webgpuConformance(half: 'large kernels' | 'all others'): Promise<void> {
  const names = half === 'large kernels' ? large : left;
  if (await (await findGpu())?.requestAdapter()) conformance('webgpu', () => openDevice('webgpu'), names);
  else {
    console.warn('WebGPU was NOT tested: neither a GPU nor SwiftShader (which is there for Linux on x64) was found');
    describe('webgpu', () => test.skip('neither a GPU nor SwiftShader was found', () => {}));
  }
}

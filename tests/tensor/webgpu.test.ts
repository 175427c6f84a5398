import { describe, test } from 'vitest';
import { openDevice } from '../../tensor/index.ts';
import { findGpu } from '../../tensor/webgpu/gpu.ts';
import { conformance, suites } from './conformance/index.ts';

/**
 * Shaders may assume that NaN and infinity do not occur, and drivers do: what becomes of them is not determined, so the
 * special values are left out.
 */
const chosen = Object.keys(suites).filter((name) => name !== 'special values');

if (await (await findGpu())?.requestAdapter()) conformance('webgpu', () => openDevice('webgpu'), chosen);
else {
  console.warn('WebGPU was NOT tested: neither a GPU nor SwiftShader (which is there for Linux on x64) was found');
  describe('webgpu', () => test.skip('neither a GPU nor SwiftShader was found', () => {}));
}

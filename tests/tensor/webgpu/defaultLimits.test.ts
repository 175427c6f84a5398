import { expect, test } from 'vitest';
import { key, matmul, openDevice, random, read, realize, zeros } from '../../../tensor/index.ts';
import { adapter } from './adapters.ts';

if (adapter === null) console.warn('Default limits were NOT tested: neither a GPU nor SwiftShader was found');

test.skipIf(adapter === null)("a device with WebGPU's default limits has these and computes as others do", async () => {
  const [small, large] = [await openDevice('webgpu', { limits: 'default' }), await openDevice('webgpu')];
  // The table of limits in the WebGPU specification, section 3.6.2.
  expect(small.abilities?.limits).toEqual({
    maxBufferSize: 268_435_456,
    maxStorageBufferBindingSize: 134_217_728,
    maxComputeWorkgroupStorageSize: 16_384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupSizeX: 256,
  });
  expect(large.abilities?.limits.maxBufferSize).toBeGreaterThanOrEqual(268_435_456);
  const product = () => matmul(random.normal(key(1), [40, 70]), random.normal(key(2), [70, 30]));
  const [one, other] = [
    await read(await realize(product(), { device: small })),
    await read(await realize(product(), { device: large })),
  ];
  one.forEach((value, i) => {
    // Either sum is within n·u·Σ|a·b| of the exact one: n = 70, u = 2⁻²⁴, and Σ|a·b| is about 45.
    expect(Math.abs(value - (other[i] as number))).toBeLessThan(70 * 2 ** -24 * 70);
  });
  await expect(realize(zeros([2 ** 26 + 1]).add(1), { device: small })).rejects.toThrow(
    /268435460 bytes|256(\.0)? MiB|maxBufferSize/,
  );
});

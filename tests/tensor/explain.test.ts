import { expect, test } from 'vitest';
import * as t from '../../tensor/index.ts';

test('explain lists kernels with their results, bytes and FLOP, and runs nothing', async () => {
  const device = await t.openDevice('wasm', { threads: 1 });
  const [x, w] = await t.realize([t.ones([64, 32]), t.ones([32, 48])], { device });
  const before = device.memory();
  device.resetPeak();
  const report = await t.explain(t.softmax(t.matmul(x, w)));
  expect(device.memory()).toEqual({ ...before, peakBytes: before.bytes, peakBuffers: before.buffers });
  const [product, rows] = report.kernels;
  expect(report.kernels.length).toBe(2);
  expect(product).toEqual({
    description: 'matmul',
    writes: ['f32[64, 48]'],
    bytes: 4 * (64 * 32 + 32 * 48 + 64 * 48),
    flops: 2 * 64 * 32 * 48,
  });
  expect(rows?.description).toContain('max');
  expect(rows?.description).toContain('exp');
  expect(report.workingBytes).toBeGreaterThanOrEqual(4 * 64 * 48);
  expect(t.formatPlan(report)).toMatch(/^wasm: .*\n.*FLOP.*f32\[64, 48\].*matmul\n(.*\n)*.*2 kernels/);
});

test('profile runs, keeps nothing, and times every kernel', async () => {
  const device = await t.openDevice('wasm', { threads: 2 });
  const x = await t.realize(t.ones([256, 256]), { device });
  const before = device.memory().bytes;
  const report = await t.profile({ a: t.matmul(x, x).tanh(), b: x.sum() });
  expect(device.memory().bytes).toBe(before);
  expect(report.kernels.every(({ milliseconds = -1 }) => milliseconds >= 0)).toBe(true);
  expect(report.kernels.reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0)).toBeGreaterThan(0);
  const { traceEvents } = JSON.parse(t.chromeTrace(report)) as {
    traceEvents: { name: string; ph: string; dur: number }[];
  };
  expect(traceEvents.map(({ name }) => name)).toEqual(report.kernels.map(({ description }) => description));
  expect(t.formatPlan(report)).toContain(' ms');
});

test('a profile takes its turn among other runs', async () => {
  const device = await t.openDevice('wasm', { threads: 2 });
  const x = await t.realize(t.ones([64, 64]), { device });
  const runs = Array.from({ length: 10 }, (_, i) => (i % 2 ? t.profile(t.matmul(x, x)) : t.read(t.matmul(x, x).sum())));
  const sums = (await Promise.all(runs)).filter((result) => result instanceof Float32Array);
  expect(sums).toEqual(new Array(5).fill(Float32Array.of(64 ** 3)));
});

test('a device without plans throws', async () => {
  const device = await t.openDevice('reference');
  await expect(t.explain(t.ones([2]), { device })).rejects.toThrow(
    "explain: the device 'reference' evaluates node by node",
  );
});

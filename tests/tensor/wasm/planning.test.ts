import { describe, expect, test } from 'vitest';
import { grad } from '../../../autograd/index.ts';
import { readProgram } from '../../../tensor/compiler/program.ts';
import * as t from '../../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../../tensor/internal.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';
import { compilePlan } from '../../../tensor/wasm/plan.ts';

/** A step of gradient descent on residual layers, all of one shape. */
function step(layers: number): t.Tensor[] {
  const x = t.ones([8, 16]);
  const weights = Array.from({ length: layers }, () => t.tensor(new Float32Array(256).fill(0.1)).reshape([16, 16]));
  const loss = (own: readonly t.Tensor[]): t.Tensor =>
    own
      .reduce((h, w) => h.add(t.silu(t.layerNorm(t.matmul(h, w)))), x)
      .square()
      .mean();
  const slopes = grad(loss)(weights);
  return weights.map((w, i) => w.sub((slopes[i] as t.Tensor).mul(1e-3)));
}

interface Size {
  readonly kernels: number;
  readonly bytes: number;
}

/** Processor time in milliseconds, which other work on the machine changes less than the clock's. */
async function spent(f: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await f();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

describe('planning', () => {
  test('takes time in proportion to the graph, and little when the plan is known', async () => {
    const device = await WasmDevice.open({ threads: 1 });
    const plan = (tree: unknown) => spent(() => t.explain(tree, { device }));
    await plan(step(20));
    const small = await plan(step(40));
    const large = step(160);
    const cold = await plan(large);
    const cached = Math.min(await plan(step(160)), await plan(step(160)), await plan(step(160)));
    // Four times the graph; a part that grew with its square would take sixteen times as long.
    expect(cold).toBeLessThan(10 * small);
    expect(cached).toBeLessThan(cold / 2);
    // 10,000 nodes: several times what an idle machine needs.
    expect(cold).toBeLessThan(3000);
    expect(cached).toBeLessThan(400);
  });

  test('reductions down the same columns share a kernel, also in the gradients of a scale and a shift', async () => {
    const device = await WasmDevice.open({ threads: 1 });
    const x = await t.realize(t.ones([40, 24, 3]), { device });
    const kernels = async (tree: unknown) => (await t.explain(tree, { device })).kernels.length;
    expect(await kernels([x.sum([0, 2]), x.square().sum([0, 2]), x.max([0, 2])])).toBe(1);
    expect(await kernels([x.sum([0, 2]), x.sum(0)])).toBe(2);
    // What depends on the first sums is another walk.
    const mean = x.mean([0, 2], { keepDims: true });
    expect(await kernels(x.sub(mean).square().sum([0, 2]))).toBe(2);
    const affine = { scale: t.ones([1, 24, 1]), shift: t.ones([1, 24, 1]) };
    const loss = ({ scale, shift }: typeof affine) => x.mul(scale).add(shift).square().sum();
    // The cotangent, and both sums over it.
    expect(await kernels(grad(loss)(affine))).toBe(2);
    device.close();
  });

  test('kernels that differ only in what they work on share their code', () => {
    const [few, many] = [4, 12].map((layers) => {
      const outputs = step(layers);
      const order = topologicalOrder(outputs, t.inputsOf).filter((tensor) => sourceOf(tensor).kind === 'pending');
      const { module, tasks } = compilePlan(readProgram(order, outputs), { initial: 1 }, true);
      return { kernels: tasks.length, bytes: module.length };
    }) as [Size, Size];
    expect(many.kernels).toBeGreaterThan(2 * few.kernels);
    expect(many.bytes).toBeLessThan(1.2 * few.bytes);
  });
});

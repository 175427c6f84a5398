import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { grad } from '../../../autograd/index.ts';
import { type Program, programs } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';
import { outcome } from '../randomPrograms.ts';

// What seems long is never left to the thread that asks.
vi.mock(import('../../../tensor/wasm/time.ts'), () => {
  const long = (): number => 1e9;
  return { loopTime: long, stepTime: long, contractionTime: long };
});

const counts = [1, 2, 3];

/** The elements that a program's inputs are grown to, so that its kernels have several units. */
const manyElements = 20_000;

/** A program on large inputs, of numbers whose sums are rounded. */
function enlarged(program: Program): Program {
  const inputs = program.inputs.map(({ dtype, shape, values }) => {
    const growth = Math.ceil((manyElements / t.sizeOf(shape)) ** (1 / Math.max(1, shape.length)));
    return { dtype, shape: shape.map((size) => size * growth), values: values.map((value) => value * 0.93) };
  });
  return { ...program, inputs, maxElements: 4 * manyElements };
}

describe('results are the same bits for any number of threads', () => {
  for (const fuse of [true, false]) {
    test(`of random programs and their gradients, ${fuse ? 'fused' : 'unfused'}`, async () => {
      const devices = await Promise.all(counts.map((threads) => WasmDevice.open({ threads, fuse })));
      const each = (['f32', 'f64', 'f16'] as const).map((dtype) =>
        programs({ smooth: true, dtypes: [dtype], maxSteps: 8 }),
      );
      await fc.assert(
        fc.asyncProperty(fc.oneof(...each), async (program) => {
          const large = enlarged(program);
          const results: number[][] = [];
          for (const device of devices) results.push((await outcome(large, device, true)).flat());
          const [first, ...others] = results as [number[], ...number[][]];
          for (const other of others) {
            expect(other.length).toBe(first.length);
            expect(other.filter((value, i) => !Object.is(value, first[i])).length).toBe(0);
          }
        }),
        { numRuns: 16, seed: 20260 },
      );
      for (const device of devices) device.close();
    });
  }

  test('of layers', async () => {
    const devices = await Promise.all([1, 2, 3].map((threads) => WasmDevice.open({ threads })));
    const [images, kernel] = [t.random.normal(t.key(1), [2, 12, 33, 31]), t.random.normal(t.key(2), [24, 12, 3, 3])];
    const loss = ({ x, w }: { x: t.Tensor; w: t.Tensor }): t.Tensor => {
      const h = t.groupNorm(t.conv2d(x, w, { padding: 1 }), 6).silu();
      const tokens = h.reshape([2, 24, -1]).transpose();
      return t.scaledDotProductAttention(tokens, tokens, tokens).square().mean();
    };
    const results = await Promise.all(
      devices.map(async (device) => {
        const inputs = await t.copy({ x: images, w: kernel }, { device });
        const gradients = await t.realize(grad(loss)(inputs));
        return [await t.read(gradients.x), await t.read(gradients.w)];
      }),
    );
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });
});

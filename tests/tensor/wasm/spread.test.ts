import { describe, expect, test } from 'vitest';
import { readProgram } from '../../../tensor/compiler/program.ts';
import { schedule } from '../../../tensor/compiler/schedule.ts';
import * as t from '../../../tensor/index.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';
import { planLoops, walkOf } from '../../../tensor/wasm/loopPlan.ts';

const device = await WasmDevice.open({ threads: 1 });
const devices: readonly t.Device[] = [device, await WasmDevice.open({ threads: 2 })];

/** How often a graph's kernels walk along their rows: for each kernel, the walks that do something. */
function walksOf(output: t.Tensor): number[] {
  const order = t.topologicalOrder([output], t.inputsOf).filter((tensor) => t.sourceOf(tensor).kind === 'pending');
  const { kernels } = schedule(readProgram(order, [output]), { mostLoads: 24, longChains: false });
  return kernels.flatMap((kernel) => {
    const plan = kernel.kind === 'loops' ? planLoops(kernel) : undefined;
    if (plan === undefined || plan.kind === 'map') return [];
    const passes = [...new Set(plan.kernel.stages.map(({ pass }) => pass))].filter((pass) => pass >= 0);
    return [passes.filter((pass) => walkOf(plan, pass).scalars.length > 0).length];
  });
}

const rows = t
  .tensor(
    Float32Array.from({ length: 64 * 320 }, (_, i) => i),
    { device },
  )
  .reshape([64, 320]);

test('normalising walks along a row twice: for its mean and variance, and to write it', () => {
  const weight = t.tensor(new Float32Array(320), { device });
  expect(walksOf(t.layerNorm(rows, { weight, bias: weight }))).toEqual([2]);
  expect(walksOf(t.groupNorm(rows.reshape([2, 320, 32]), 32, { weight, bias: weight }))).toEqual([2]);
  expect(walksOf(t.variance(rows, [1]))).toEqual([1]);
});

test('what else needs a value of the row before it is added up has a walk of its own', () => {
  const centred = rows.sub(rows.mean([1], { keepDims: true }));
  expect(walksOf(centred.abs().sum([1]))).toEqual([2]);
  // Two numbers that differ are no square.
  expect(walksOf(centred.mul(rows.sub(1)).sum([1]))).toEqual([2]);
  // f64 would need sums of more than f64.
  expect(walksOf(t.variance(rows.cast('f64'), [1]))).toEqual([2]);
});

/** Σ(x − r)² in f64, r being the mean rounded as an operator rounds it. */
function exactVariance(x: readonly number[]): number {
  const mean = Math.fround(Math.fround(x.reduce((a, b) => a + b, 0)) / x.length);
  return x.reduce((sum, one) => sum + (one - mean) ** 2, 0) / x.length;
}

describe('variances of rows and of columns', () => {
  const noise = (i: number): number => Math.sin(i * i) / 2;
  const rowsOf: Readonly<Record<string, (i: number) => number>> = {
    'around zero': noise,
    'far from zero': (i) => 10000 + noise(i),
    'whose first element is far from all others': (i) => (i === 0 ? 1e4 : noise(i)),
    'of huge numbers': (i) => 1e18 * noise(i),
    'of tiny numbers': (i) => 1e-18 * noise(i),
    'of equal numbers': () => 0.5,
  };
  test.each(Object.keys(rowsOf))('%s', async (name) => {
    for (const count of [1, 3, 17, 64, 1021]) {
      const row = Float32Array.from({ length: count }, (_, i) => (rowsOf[name] as (i: number) => number)(i));
      const exact = exactVariance([...row]);
      const results: number[][] = [];
      for (const one of devices) {
        const x = t.tensor(row, { device: one });
        const wide = x.reshape([1, count]).broadcastTo([33, count]);
        const tall = x.reshape([count, 1]).broadcastTo([count, 37]);
        results.push([...(await t.read(t.variance(wide, [1]))), ...(await t.read(t.variance(tall, [0])))]);
      }
      expect(results[1]).toEqual(results[0]);
      // Rounded twice: the sum of squares and the division.
      const bound = 2 * 2 ** -24 * exact;
      for (const value of results[0] as number[]) expect(Math.abs(value - exact)).toBeLessThanOrEqual(bound);
    }
  });

  test('with NaN or infinity in them', async () => {
    const x = t.tensor(
      [
        [1, Number.NaN, 3],
        [Number.POSITIVE_INFINITY, 1, 2],
        [1, 2, Number.NEGATIVE_INFINITY],
        [1, 1, 4],
      ],
      {
        device,
      },
    );
    const long = t.concat(
      Array.from({ length: 6 }, () => x),
      1,
    );
    expect([...(await t.read(t.variance(long, [1])))]).toEqual([Number.NaN, Number.NaN, Number.NaN, 2]);
  });
});

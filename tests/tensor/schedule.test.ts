import { expect, test } from 'vitest';
import { readProgram } from '../../tensor/compiler/program.ts';
import { type ScheduleOptions, schedule } from '../../tensor/compiler/schedule.ts';
import * as t from '../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../tensor/internal.ts';

/** The values that each kernel of a graph computes. */
function kernelsOf(output: t.Tensor, options: Partial<ScheduleOptions> = {}): string[] {
  const order = topologicalOrder([output], t.inputsOf).filter((tensor) => sourceOf(tensor).kind === 'pending');
  return schedule(readProgram(order, [output]), { mostLoads: 8, ...options }).kernels.map((kernel) =>
    kernel.kind === 'step' ? kernel.value.primitive : kernel.stages.map(({ value }) => value.primitive).join(' '),
  );
}

const normalised = (): t.Tensor => {
  const [x, weight] = [
    t.tensor(new Float32Array(4 * 32 * 64), { shape: [4, 32, 8, 8] }),
    t.tensor(new Float32Array(32)),
  ];
  return t.groupNorm(x, 8, { weight, bias: weight });
};

test('operators after a reshaped normalisation join its kernel', () => {
  const statistics = 'sum sum sqrt';
  expect(kernelsOf(normalised())).toEqual([`${statistics} add`]);
  expect(kernelsOf(t.silu(normalised()))).toEqual([`${statistics} add mul`]);
});

test('expensive functions of a value of the same walk get their own kernel if chains must be short', () => {
  const statistics = 'sum sum sqrt';
  expect(kernelsOf(t.silu(normalised()), { longChains: false })).toEqual([`${statistics} add`, 'mul']);
  expect(kernelsOf(t.relu(normalised()), { longChains: false })).toHaveLength(1);
  // The exponentials of a softmax need the maximum, not a value of the same walk.
  const rows = t.tensor(new Float32Array(64 * 64), { shape: [64, 64] });
  expect(kernelsOf(t.softmax(rows, -1), { longChains: false })).toEqual(['max exp sum div']);
});

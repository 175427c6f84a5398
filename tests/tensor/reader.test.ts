import fc from 'fast-check';
import { expect, test } from 'vitest';
import { grad } from '../../autograd/index.ts';
import { programInputs, programs, runProgram } from '../../autograd/testing/index.ts';
import { readProgram } from '../../tensor/compiler/program.ts';
import { ProgramReader } from '../../tensor/compiler/reader.ts';
import * as t from '../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../tensor/internal.ts';

const isPending = (tensor: t.Tensor): boolean => sourceOf(tensor).kind === 'pending';

/** A run as `realize` builds it. */
function runOf(roots: readonly t.Tensor[]) {
  const order = topologicalOrder(roots, t.inputsOf).filter(isPending);
  return { order: order.toSorted((a, b) => a.id - b.id), outputs: [...new Set(roots)].filter(isPending) };
}

/** A description of a program, including its leaves. */
const described = ({ key, leaves, scalars, outputs }: ReturnType<typeof readProgram>) => ({
  ...{ key, leaves: leaves.map(({ id }) => id), scalars, outputs: outputs.map(({ id }) => id) },
});

test('reading a graph like a known one gives the same program as reading it first', () => {
  const reader = new ProgramReader();
  let compared = 0;
  fc.assert(
    fc.property(
      fc.array(programs({ smooth: true, dtypes: ['f32'], maxSteps: 14, minSize: 0 }), { minLength: 8, maxLength: 12 }),
      fc.array(fc.double({ noNaN: true }), { minLength: 12, maxLength: 12 }),
      (several, numbers) => {
        const graph = (own: (i: number) => number) =>
          runOf(several.flatMap((one, i) => runProgram(one, programInputs(one)).map((x) => t.mul(t.neg(x), own(i)))));
        reader.of(graph(() => 2));
        const again = graph((i) => numbers[i] as number);
        if (again.order.length >= 64) compared++;
        expect(described(reader.of(again))).toEqual(described(readProgram(again.order, again.outputs)));
      },
    ),
    { numRuns: 60, seed: 20261 },
  );
  expect(compared).toBeGreaterThan(20);
});

/** Many operators that end with `last`. */
const long = (x: t.Tensor, last: (x: t.Tensor) => t.Tensor, more = 0): t.Tensor => {
  let y = x;
  for (let i = 0; i < 70; i++) y = t.add(t.mul(y, i + more), x);
  return last(y);
};

test('graphs that differ in more than numbers and leaves are other programs', () => {
  const reader = new ProgramReader();
  const x = t.tensor([1, 2, 3, 4], { shape: [2, 2] });
  const lasts: ((x: t.Tensor) => t.Tensor)[] = [
    (y) => t.sum(y, 0),
    (y) => t.sum(y, 1),
    (y) => t.max(y, 0),
    (y) => t.pad(y, [[0, 0], [0, 1]]), // biome-ignore format: a pair for each axis
    (y) => t.pad(y, [[0, 0], [0, 1]], -0), // biome-ignore format: a pair for each axis
    (y) => t.add(y, x),
    (y) => t.add(y, t.tensor([1, 2], { shape: [2] })),
    (y) => t.add(t.cast(y, 'f64'), t.tensor([1, 2], { shape: [2], dtype: 'f64' })),
    (y) => t.add(y, t.tensor([1, 2], { shape: [2, 1] })),
    (y) => t.cast(y, 'f16'),
    (y) => t.cast(y, 'bf16'),
  ];
  for (let round = 0; round < 2; round++) {
    const keys = lasts.map((last) => {
      const run = runOf([long(x, last, round)]);
      const program = reader.of(run);
      expect(described(program)).toEqual(described(readProgram(run.order, run.outputs)));
      return program.key;
    });
    expect(new Set(keys).size).toBe(lasts.length);
  }
  const both = [long(x, t.neg), long(x, t.exp)];
  const [one, other] = [runOf(both), runOf([...both].reverse())];
  expect(reader.of(one).outputs.map(({ primitive }) => primitive)).toEqual(['neg', 'exp']);
  expect(reader.of(other).outputs.map(({ primitive }) => primitive)).toEqual(['exp', 'neg']);
});

test('the numbers of composed operators are in the right places', () => {
  const isComposed = (): boolean => true;
  const reader = new ProgramReader(isComposed);
  const graph = (number: number) => {
    const [q, k, v] = [1, 2, 3].map((seed) => t.random.normal(t.key(seed), [2, 3, 4])) as [
      t.Tensor,
      t.Tensor,
      t.Tensor,
    ];
    const loss = (q: t.Tensor): t.Tensor =>
      t.sum(t.mul(t.scaledDotProductAttention(t.mul(q, number), k, v), number + 1));
    return runOf([t.add(long(grad(loss)(q), t.neg), number + 2)]);
  };
  reader.of(graph(2));
  const again = graph(5);
  expect(described(reader.of(again))).toEqual(described(readProgram(again.order, again.outputs, isComposed)));
});

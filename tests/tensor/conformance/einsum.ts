import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, build, entry, indicesOf, type Nd, product } from './naive.ts';
import { compute, type DeviceOf, expectNd, holds, seeds, upload, whole } from './support.ts';

/** Interprets an equation with a loop over every label; axes under `...` must have been given names before. */
function interpret(terms: readonly string[], output: string, operands: readonly Nd[]): Nd {
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => {
    [...term].forEach((label, axis) => {
      const size = entry(entry(operands, i).shape, axis);
      if (size !== 1 || !sizes.has(label)) sizes.set(label, size);
    });
  });
  const sizeOf = (label: string) => sizes.get(label) ?? 0;
  const inner = [...sizes.keys()].filter((label) => !output.includes(label));
  const loops = indicesOf(inner.map(sizeOf));
  return build([...output].map(sizeOf), (index) => {
    let sum = 0;
    for (const loop of loops) {
      const place = (label: string) =>
        output.includes(label) ? entry(index, output.indexOf(label)) : entry(loop, inner.indexOf(label));
      let term = 1;
      operands.forEach((x, i) => {
        const own = [...entry(terms, i)].map((label, axis) => (entry(x.shape, axis) === 1 ? 0 : place(label)));
        term *= at(x, own);
      });
      sum += term;
    }
    return sum;
  });
}

const labels = ['a', 'b', 'c', 'd', 'e'];

/** One to three operands with labels from a small alphabet, a result of some of them in any order, and sizes. */
const equations = fc
  .record({
    terms: fc.array(fc.array(fc.constantFrom(...labels), { maxLength: 4 }), { minLength: 1, maxLength: 3 }),
    sizes: fc.array(fc.constantFrom(0, 1, 2, 2, 3, 3), { minLength: 5, maxLength: 5 }),
    order: fc.shuffledSubarray(labels),
  })
  .map(({ terms, sizes, order }) => ({
    terms: terms.map((term) => term.join('')),
    output: order.filter((label) => terms.flat().includes(label)).join(''),
    shapes: terms.map((term) => term.map((label) => entry(sizes, labels.indexOf(label)))),
  }));

/** Einstein summation against a naive interpreter. */
export function einsum(device: DeviceOf): void {
  test('any equation with an explicit result', () =>
    holds(
      [equations, seeds],
      async ({ terms, output, shapes }, seed) => {
        fc.pre(shapes.every((shape) => product(shape) <= 100));
        const operands = shapes.map((shape, i) => whole(shape, seed + i, -3, 3));
        const expected = interpret(terms, output, operands);
        const equation = `${terms.join(',')}->${output}`;
        await expectNd(device(), t.einsum(equation, ...operands.map((x) => upload(x, 'f32'))), expected, 'f32');
      },
      150,
    ));

  test('without an arrow the result has the labels that occur once, in alphabetical order', () =>
    holds(
      [equations, seeds],
      async ({ terms, shapes }, seed) => {
        fc.pre(shapes.every((shape) => product(shape) <= 100));
        const all = terms.join('');
        const output = [...labels].filter((label) => all.split(label).length === 2).join('');
        const operands = shapes.map((shape, i) => whole(shape, seed + i, -3, 3));
        const expected = interpret(terms, output, operands);
        const actual = t.einsum(terms.join(','), ...operands.map((x) => upload(x, 'f32')));
        await expectNd(device(), actual, expected, 'f32');
      },
      60,
    ));

  const batches = fc.record({
    batch: fc.array(fc.constantFrom(0, 1, 2, 3), { maxLength: 2 }),
    ones: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    drop: fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 2 })),
  });

  test('`...` broadcasts, in the result or summed away', () =>
    holds(
      [batches, seeds],
      async ({ batch, ones, drop }, seed) => {
        const lead = (side: 0 | 1) => batch.map((n, i) => (ones[2 * side + i] === true ? 1 : n)).slice(drop[side]);
        const names = (shape: readonly number[]) => 'xy'.slice(2 - shape.length);
        const [left, right] = [lead(0), lead(1)];
        const [a, b] = [whole([...left, 2, 3], seed), whole([...right, 3, 2], seed + 1)];
        const terms = [`${names(left)}ij`, `${names(right)}jk`];
        const dots = 'xy'.slice(2 - Math.max(left.length, right.length));
        const [x, y] = [upload(a, 'f32'), upload(b, 'f32')];
        const product1 = interpret(terms, `${dots}ik`, [a, b]);
        await expectNd(device(), t.einsum('...ij,...jk->...ik', x, y), product1, 'f32');
        await expectNd(device(), t.einsum('...ij,...jk', x, y), product1, 'f32');
        await expectNd(device(), t.einsum('i...j->j...i', t.permute(x, order(left.length))), transposed(a), 'f32');
        await expectNd(device(), t.einsum('...ij,...jk->ik', x, y), interpret(terms, 'ik', [a, b]), 'f32');
      },
      60,
    ));

  test('classic equations', async () => {
    const [a, b] = [
      t.tensor([
        [1, 2],
        [3, 4],
      ]),
      t.tensor([
        [5, 6],
        [7, 8],
      ]),
    ];
    const values = (equation: string, ...x: t.Tensor[]) => compute(device(), t.einsum(equation, ...x));
    expect(await values('ij,jk->ik', a, b)).toEqual([19, 22, 43, 50]);
    expect(await values('ij,jk', a, b)).toEqual([19, 22, 43, 50]);
    expect(await values('ii', a)).toEqual([5]);
    expect(await values('ii->i', a)).toEqual([1, 4]);
    expect(await values('ij->ji', a)).toEqual([1, 3, 2, 4]);
    expect(await values('ij->', a)).toEqual([10]);
    expect(await values('ij,ij->', a, b)).toEqual([70]);
    expect(await values(' i , j -> i j ', t.tensor([1, 2]), t.tensor([3, 4]))).toEqual([3, 4, 6, 8]);
    expect(await values(',->', t.tensor(3), t.tensor(4))).toEqual([12]);
    expect(await values('iji->j', t.arange(12).reshape([2, 3, 2]))).toEqual([7, 11, 15]);
  });
}

/** From [batch…, i, j] to [i, batch…, j]. */
const order = (batch: number): number[] => [batch, ...Array.from({ length: batch }, (_, i) => i), batch + 1];

/** [batch…, i, j] with both ends swapped around the batch: [j, batch…, i]. */
function transposed(x: Nd): Nd {
  const batch = x.shape.slice(0, -2);
  const [i, j] = x.shape.slice(-2) as [number, number];
  return build([j, ...batch, i], (index) =>
    at(x, [...index.slice(1, -1), entry(index, index.length - 1), entry(index, 0)]),
  );
}

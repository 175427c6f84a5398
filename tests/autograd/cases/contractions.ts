import fc from 'fast-check';
import { broadcastableShapes, sizes, tensors } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

const size = sizes({ minSize: 0, maxSize: 3 });

/** Pairs of shapes for matmul: vectors, matrices, and batches that broadcast. */
const matrixShapes = fc.record({
  batch: broadcastableShapes(2, { maxRank: 2, maxSize: 3, minSize: 0, maxElements: 6 }),
  rows: size,
  inner: size,
  columns: size,
  vectors: fc.constantFrom('none', 'left', 'right', 'both'),
});

const equations = [
  'ij,jk->ik',
  'ij,kj',
  'bij,bjk->bik',
  'bqd,bkd->bqk',
  '...ij,...jk->...ik',
  '...i,i->...',
  'ii->i',
  'ii',
  'iij,j->i',
  'ij->ji',
  'ij->',
  'i,j->ij',
  'i,i',
  'ij,ij->',
  'ij,k->ki',
  'ij,jk,kl->il',
  'bi,bj,bk->ijk',
] as const;

/** Operands for an equation, from a size per letter. */
const einsumOperands = fc
  .record({
    equation: fc.constantFrom(...equations),
    lengths: fc.array(size, { minLength: 26, maxLength: 26 }),
    dots: broadcastableShapes(2, { maxRank: 2, maxSize: 2, maxElements: 4 }),
  })
  .chain(({ equation, lengths, dots }) => {
    const terms = (equation.split('->')[0] as string).split(',');
    const shapes = terms.map((term, i) =>
      (term.match(/\.\.\.|[a-z]/g) ?? []).flatMap((label) =>
        label === '...' ? (dots[i] as t.Shape) : [lengths[label.charCodeAt(0) - 97] as number],
      ),
    );
    return fc.record({
      equation: fc.constant(equation),
      operands: fc.tuple(...shapes.map((shape) => tensors({ shape }))),
    });
  });

export const contractionCases: readonly GradientCase[] = [
  gradientCase(
    'matmul',
    matrixShapes.chain(({ batch: [left = [], right = []], rows, inner, columns, vectors }) =>
      fc.record({
        a: tensors({ shape: vectors === 'left' || vectors === 'both' ? [inner] : [...left, rows, inner] }),
        b: tensors({ shape: vectors === 'right' || vectors === 'both' ? [inner] : [...right, inner, columns] }),
      }),
    ),
    ({ a, b }) => ({ inputs: [a, b], f: t.matmul }),
  ),
  gradientCase('matmul: with itself', tensors({ shape: [3, 3] }), (a) => ({
    inputs: [a],
    f: (a) => t.matmul(t.matmul(a, a), t.transpose(a)),
  })),
  gradientCase(
    'linear',
    fc
      .record({ lead: fc.array(size, { maxLength: 2 }), inputs: size, outputs: size })
      .chain(({ lead, inputs, outputs }) =>
        fc.record({
          x: tensors({ shape: [...lead, inputs] }),
          weight: tensors({ shape: [outputs, inputs] }),
          bias: fc.option(tensors({ shape: [outputs] }), { nil: undefined }),
        }),
      ),
    ({ x, weight, bias }) => ({ inputs: bias === undefined ? [x, weight] : [x, weight, bias], f: t.linear }),
  ),
  gradientCase(
    'outer',
    fc.tuple(size, size).chain(([m, n]) => fc.record({ a: tensors({ shape: [m] }), b: tensors({ shape: [n] }) })),
    ({ a, b }) => ({ inputs: [a, b], f: t.outer }),
  ),
  gradientCase('einsum', einsumOperands, ({ equation, operands }) => ({
    inputs: operands,
    f: (...operands) => t.einsum(equation, ...operands),
  })),
];

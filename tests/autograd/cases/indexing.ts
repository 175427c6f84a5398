import fc from 'fast-check';
import { axes, shapes, tensors } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

type Tensor = t.Tensor;

const small = { minRank: 1, maxRank: 3, maxElements: 18 };

/** A tensor, an axis, and indices for this axis in a shape that `gather` takes. */
const indexed = shapes(small).chain((shape) =>
  fc.nat({ max: shape.length - 1 }).chain((axis) =>
    fc
      .record({
        cut: fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
        length: fc.nat({ max: 4 }),
      })
      .chain(({ cut, length }) => {
        const index = shape.map((size, i) => (i === axis ? length : cut[i] && size > 1 ? size - 1 : size));
        return fc.record({
          x: tensors({ shape }),
          index: tensors({ shape: index, dtype: 'i32', range: [0, (shape[axis] as number) - 1] }),
          updates: tensors({ shape: index }),
          axis: fc.constantFrom(axis, axis - shape.length),
        });
      }),
  ),
);

export const indexingCases: readonly GradientCase[] = [
  gradientCase('gather', indexed, ({ x, index, axis }) => ({
    inputs: [x, index],
    f: (x, index) => t.gather(t.sin(x as Tensor), index as Tensor, axis),
  })),
  gradientCase('scatterAdd', indexed, ({ x, index, updates, axis }) => ({
    inputs: [x, updates],
    f: (x, updates) => t.sin(t.scatterAdd(x as Tensor, index, updates as Tensor, axis)),
  })),
  gradientCase(
    'take',
    shapes(small).chain((shape) =>
      axes(shape.length).chain((axis) =>
        fc.record({
          x: tensors({ shape }),
          ids: tensors({
            shape: shapes({ minSize: 0, maxRank: 2, maxElements: 6 }),
            dtype: 'i32',
            range: [0, (shape.at(axis) as number) - 1],
          }),
          axis: fc.constant(axis),
        }),
      ),
    ),
    ({ x, ids, axis }) => ({ inputs: [x], f: (x) => t.take(t.sin(x), ids, axis) }),
  ),
  gradientCase(
    'diagonal',
    fc.record({
      x: fc
        .tuple(fc.nat({ max: 3 }), fc.integer({ min: 1, max: 3 }))
        .chain(([n, other]) => fc.constantFrom([n, n], [n, n, other], [n, other, n], [other, n, n]))
        .chain((shape) => tensors({ shape })),
    }),
    ({ x }) => {
      const [first, second] =
        x.rank === 2 ? [0, 1] : x.shape[0] === x.shape[1] ? [1, 0] : x.shape[0] === x.shape[2] ? [0, -1] : [-2, -1];
      return { inputs: [x], f: (x) => t.diagonal(t.sin(x), first, second) };
    },
  ),
];

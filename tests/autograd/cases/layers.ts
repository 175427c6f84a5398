import fc from 'fast-check';
import { vjp } from '../../../autograd/index.ts';
import { broadcastableShapes, shapes, tensors } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

type Tensor = t.Tensor;

const from1 = (max: number) => fc.integer({ min: 1, max });
const optional = <T>(entry: fc.Arbitrary<T>) => fc.option(entry, { nil: undefined });
/** Passes the defined tensors as inputs, and calls the function with all arguments in their places. */
const present = (tensors: readonly (Tensor | undefined)[]) => ({
  inputs: tensors.filter((x) => x !== undefined),
  place: (inputs: readonly Tensor[]): (Tensor | undefined)[] => {
    const rest = [...inputs];
    return tensors.map((x) => (x === undefined ? undefined : rest.shift()));
  },
});
const eps = fc.constantFrom(0.25, 1);
const reduction = fc.constantFrom('mean', 'sum', 'none', undefined);
const withReduction = (reduction: 'mean' | 'sum' | 'none' | undefined) =>
  reduction === undefined ? {} : { reduction };

const attention = fc
  .record({
    lead: broadcastableShapes(2, { maxRank: 2, maxSize: 2, maxElements: 4 }),
    queries: from1(3),
    keys: from1(3),
    dim: from1(3),
    width: from1(2),
    mask: fc.constantFrom('none', 'bool', 'float'),
  })
  .chain(({ lead: [a = [], b = []], queries, keys, dim, width, mask }) =>
    fc.record({
      q: tensors({ shape: [...a, queries, dim] }),
      k: tensors({ shape: [...b, keys, dim] }),
      v: tensors({ shape: [...b, keys, width] }),
      mask:
        mask === 'none'
          ? fc.constant(undefined)
          : tensors({ shape: [queries, keys], dtype: mask === 'bool' ? 'bool' : 'f64' }),
      causal: fc.boolean(),
      scale: optional(fc.constantFrom(0.5, 1)),
    }),
  );

const loss = (name: string, f: (a: Tensor, b: Tensor, options: t.LossOptions) => Tensor): GradientCase =>
  gradientCase(
    name,
    shapes({ maxRank: 3, maxElements: 12 }).chain((shape) =>
      fc.record({ a: tensors({ shape, steps: 4 }), b: tensors({ shape, steps: 4 }), reduction }),
    ),
    // An eighth keeps the two apart.
    ({ a, b, reduction }) => ({
      inputs: [a, b],
      f: (a, b) => f(a as Tensor, t.add(b as Tensor, 1 / 8), withReduction(reduction)),
    }),
  );

export const layerCases: readonly GradientCase[] = [
  gradientCase(
    'groupNorm',
    fc
      .record({ groups: from1(3), each: from1(2), places: fc.array(from1(3), { maxLength: 2 }) })
      .chain(({ groups, each, places }) =>
        fc.record({
          x: tensors({ shape: [2, groups * each, ...places] }),
          weight: optional(tensors({ shape: [groups * each] })),
          bias: optional(tensors({ shape: [groups * each] })),
          groups: fc.constant(groups),
          eps,
        }),
      ),
    ({ x, weight, bias, groups, eps }) => {
      const { inputs, place } = present([x, weight, bias]);
      return {
        inputs,
        f: (...given) => {
          const [x, weight, bias] = place(given);
          return t.groupNorm(x as Tensor, groups, { weight, bias, eps });
        },
      };
    },
  ),
  gradientCase(
    'layerNorm',
    shapes({ minRank: 1, maxRank: 3, maxElements: 18 })
      .chain((shape) => fc.tuple(fc.constant(shape), from1(shape.length)))
      .chain(([shape, count]) =>
        fc.record({
          x: tensors({ shape }),
          weight: optional(tensors({ shape: shape.slice(-count) })),
          bias: optional(tensors({ shape: shape.slice(-count) })),
          axes: fc.constant(count),
          eps,
        }),
      ),
    ({ x, weight, bias, axes, eps }) => {
      const { inputs, place } = present([x, weight, bias]);
      return {
        inputs,
        f: (...given) => {
          const [x, weight, bias] = place(given);
          return t.layerNorm(x as Tensor, { weight, bias, axes, eps });
        },
      };
    },
  ),
  gradientCase('scaledDotProductAttention', attention, ({ q, k, v, mask, causal, scale }) => {
    // A query without any key would be NaN, so every query attends to the first key.
    const open = (mask: Tensor) =>
      t.logicalOr(mask, t.equal(t.broadcastTo(t.iota([mask.shape[1] as number], 0, 'i32'), mask.shape), 0));
    const { inputs, place } = present([q, k, v, mask]);
    return {
      inputs,
      f: (...given) => {
        const [q, k, v, mask] = place(given) as [Tensor, Tensor, Tensor, Tensor | undefined];
        return t.scaledDotProductAttention(q, k, v, {
          mask: mask?.dtype === 'bool' ? open(mask) : mask,
          causal,
          scale,
        });
      },
    };
  }),
  gradientCase(
    'scaledDotProductAttention: its gradient',
    fc.record({
      q: tensors({ shape: [2, 3] }),
      k: tensors({ shape: [3, 3] }),
      v: tensors({ shape: [3, 2] }),
      g: tensors({ shape: [2, 2] }),
      causal: fc.boolean(),
    }),
    ({ q, k, v, g, causal }) => ({
      inputs: [q, k, v, g],
      f: (...given) => {
        const [q, k, v, g] = given as [Tensor, Tensor, Tensor, Tensor];
        const attend = (q: Tensor, k: Tensor, v: Tensor) => t.scaledDotProductAttention(q, k, v, { causal });
        return vjp(attend, q, k, v).pullback(g);
      },
    }),
  ),
  loss('mseLoss', t.mseLoss),
  loss('l1Loss', t.l1Loss),
  loss('binaryCrossEntropyWithLogits', t.binaryCrossEntropyWithLogits),
  gradientCase(
    'crossEntropy',
    fc.tuple(from1(4), from1(5)).chain(([count, classes]) =>
      fc.record({
        logits: tensors({ shape: [count, classes] }),
        target: tensors({ shape: [count], dtype: 'i32', range: [0, classes - 1] }),
        reduction,
      }),
    ),
    ({ logits, target, reduction }) => ({
      inputs: [logits, target],
      f: (logits, target) => t.crossEntropy(logits as Tensor, target as Tensor, withReduction(reduction)),
    }),
  ),
];

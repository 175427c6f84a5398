import fc from 'fast-check';
import { axes, broadcastableShapes, shapes, sizes, tensors } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

type Tensor = t.Tensor;

const small = { minSize: 0, maxRank: 3, maxElements: 24 };

/** A tensor and parameters that depend on its shape. The sine makes second derivatives other than zero. */
const movement = <P>(
  name: string,
  params: (shape: t.Shape) => fc.Arbitrary<P>,
  f: (x: Tensor, params: P) => unknown,
  options: { readonly minRank?: number; readonly minSize?: number } = {},
): GradientCase =>
  gradientCase(
    name,
    shapes({ ...small, ...options }).chain((shape) => fc.record({ x: tensors({ shape }), params: params(shape) })),
    ({ x, params }) => ({ inputs: [x], f: (y) => f(t.sin(y), params) }),
  );

const permutation = (rank: number) =>
  fc.shuffledSubarray(
    Array.from({ length: rank }, (_, axis) => axis),
    { minLength: rank, maxLength: rank },
  );
const each = <T>(shape: t.Shape, entry: fc.Arbitrary<T>) =>
  fc.array(entry, { minLength: shape.length, maxLength: shape.length });
const position = fc.option(fc.integer({ min: -8, max: 8 }), { nil: undefined });
const nothing = () => fc.constant(undefined);
const amount = fc.integer({ min: -2, max: 2 });
/** Amounts of padding that crop at most the whole axis. */
const within = (size: number, before: number, after: number): [number, number] => {
  const cropped = Math.max(before, -size);
  return [cropped, Math.max(after, -size - Math.min(0, cropped))];
};

/** Several tensors that agree in all axes but one. */
const joined = shapes({ ...small, minRank: 1 }).chain((shape) =>
  fc.integer({ min: 0, max: shape.length - 1 }).chain((axis) =>
    fc.record({
      axis: fc.constantFrom(axis, axis - shape.length),
      parts: fc.array(
        sizes({ minSize: 0, maxSize: 3 }).chain((size) =>
          tensors({ shape: shape.map((old, i) => (i === axis ? size : old)) }),
        ),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  ),
);

export const movementCases: readonly GradientCase[] = [
  movement(
    'reshape',
    (shape) =>
      fc.constantFrom(
        [t.sizeOf(shape)],
        [...shape, 1],
        [1, ...shape].reverse(),
        ...(t.sizeOf(shape) > 0 ? [[1, -1]] : []),
      ),
    (x, shape) => t.reshape(x, shape),
  ),
  movement(
    'permute',
    (shape) => permutation(shape.length),
    (x, order) => t.permute(x, order),
  ),
  movement(
    'transpose',
    (shape) => fc.tuple(axes(shape.length), axes(shape.length)),
    (x, [i, j]) => t.transpose(x, i, j),
    {
      minRank: 1,
    },
  ),
  movement('transpose: of the last axes', nothing, (x) => t.transpose(x), { minRank: 2 }),
  movement('squeeze', nothing, (x) => t.squeeze(x)),
  movement(
    'unsqueeze',
    (shape) => axes(shape.length + 1),
    (x, axis) => t.unsqueeze(x, axis),
  ),
  movement(
    'flatten',
    (shape) => fc.tuple(fc.nat({ max: shape.length - 1 }), fc.nat({ max: shape.length - 1 })),
    (x, [a, b]) => t.flatten(x, Math.min(a, b), Math.max(a, b)),
    { minRank: 1 },
  ),
  movement(
    'flip',
    (shape) => fc.option(fc.subarray(shape.map((_, axis) => axis)), { nil: undefined }),
    (x, list) => t.flip(x, list),
  ),
  movement(
    'slice: steps of either sign',
    (shape) =>
      fc.record({
        starts: each(shape, position),
        stops: each(shape, position),
        steps: each(shape, fc.constantFrom(1, 2, 3, -1, -2, -3)),
      }),
    (x, { starts, stops, steps }) => t.slice(x, starts, stops, steps),
  ),
  movement(
    'sliceAxis',
    (shape) => fc.tuple(axes(shape.length), fc.integer({ min: -3, max: 3 }), fc.integer({ min: -3, max: 7 })),
    (x, [axis, from, to]) => t.sliceAxis(x, axis, from, to),
    { minRank: 1 },
  ),
  movement(
    'pad: and crop',
    (shape) => fc.record({ amounts: each(shape, fc.tuple(amount, amount)), value: fc.constantFrom(0, 1.5) }),
    (x, { amounts, value }) =>
      t.pad(
        x,
        amounts.map(([before, after], axis) => within(x.shape[axis] as number, before, after)),
        value,
      ),
  ),
  movement(
    'padInterior',
    (shape) =>
      fc.record({
        before: each(shape, fc.nat({ max: 2 })),
        after: each(shape, fc.nat({ max: 2 })),
        interior: each(shape, fc.nat({ max: 2 })),
      }),
    (x, { before, after, interior }) => t.padInterior(x, before, after, interior, 0.5),
  ),
  gradientCase(
    'broadcastTo',
    broadcastableShapes(2, small).chain((pair) => {
      const full = t.broadcastShapes('test', ...pair);
      return fc.record({
        x: tensors({ shape: pair.find((shape) => shape.join() !== full.join()) ?? full }),
        full: fc.constant(full),
      });
    }),
    ({ x, full }) => ({ inputs: [x], f: (x) => t.broadcastTo(t.sin(x), full) }),
  ),
  gradientCase('concat', joined, ({ parts, axis }) => ({
    inputs: parts,
    f: (...parts) => t.concat([...parts, ...parts.map(t.sin)], axis),
  })),
  gradientCase(
    'stack',
    shapes(small).chain((shape) =>
      fc.record({ parts: fc.array(tensors({ shape }), { minLength: 1, maxLength: 3 }), axis: axes(shape.length + 1) }),
    ),
    ({ parts, axis }) => ({ inputs: parts, f: (...parts) => t.stack([...parts, ...parts.map(t.cos)], axis) }),
  ),
  gradientCase('split: into sizes', joined, ({ parts, axis }) => {
    const sizes = parts.map((part) => part.shape.at(axis) as number);
    // The last part is not used.
    return {
      inputs: [t.concat(parts, axis)],
      f: (x) => t.split(t.sin(x), sizes, axis).slice(0, Math.max(1, sizes.length - 1)),
    };
  }),
  movement(
    'split: into equal parts',
    (shape) => axes(shape.length),
    (x, axis) => t.split(x, x.shape.at(axis) as number, axis),
    {
      minRank: 1,
      minSize: 1,
    },
  ),
  movement(
    'repeat',
    (shape) => fc.array(fc.nat({ max: 2 }), { minLength: shape.length, maxLength: shape.length + 1 }),
    (x, counts) => t.repeat(x, counts),
  ),
  movement(
    'repeatInterleave',
    (shape) => fc.tuple(fc.nat({ max: 3 }), axes(shape.length)),
    (x, [count, axis]) => t.repeatInterleave(x, count, axis),
    { minRank: 1 },
  ),
];

import fc from 'fast-check';
import { tensors } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { dilated } from '../../../tensor/internal.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

const from1 = (max: number) => fc.integer({ min: 1, max });
const pair = <T>(entry: fc.Arbitrary<T>) => fc.tuple(entry, entry);

/** One spatial axis with enough padding for the kernel; negative padding crops. */
const axis = fc
  .record({
    size: from1(4),
    kernel: from1(3),
    stride: from1(3),
    inputDilation: from1(3),
    kernelDilation: from1(2),
    before: fc.integer({ min: -2, max: 2 }),
    after: fc.integer({ min: -2, max: 2 }),
  })
  .map((found) => {
    const extent = dilated(found.size, found.inputDilation) + found.before;
    const reach = dilated(found.kernel, found.kernelDilation);
    return { ...found, after: Math.max(found.after, reach - extent) };
  });

const general = (spatialAxes: number, minBatch = 1) =>
  fc
    .record({
      batch: fc.integer({ min: minBatch, max: 2 }),
      groups: from1(3),
      inputs: from1(2),
      outputs: from1(2),
      list: fc.array(axis, { minLength: spatialAxes, maxLength: spatialAxes }),
    })
    .chain(({ batch, groups, inputs, outputs, list }) =>
      fc.record({
        x: tensors({ shape: [batch, groups * inputs, ...list.map(({ size }) => size)] }),
        weight: tensors({ shape: [groups * outputs, inputs, ...list.map(({ kernel }) => kernel)] }),
        options: fc.constant({
          strides: list.map(({ stride }) => stride),
          before: list.map(({ before }) => before),
          after: list.map(({ after }) => after),
          inputDilation: list.map(({ inputDilation }) => inputDilation),
          kernelDilation: list.map(({ kernelDilation }) => kernelDilation),
          groups,
        }),
      }),
    );

const conv = (name: string, params: ReturnType<typeof general>): GradientCase =>
  gradientCase(name, params, ({ x, weight, options }) => ({
    inputs: [x, weight],
    f: (x, weight) => t.conv(x as t.Tensor, weight as t.Tensor, options),
  }));

const padding2d: fc.Arbitrary<t.Padding2d> = fc.oneof(
  fc.nat({ max: 2 }),
  pair(fc.nat({ max: 2 })),
  pair(pair(fc.nat({ max: 2 }))),
);

export const convCases: readonly GradientCase[] = [
  conv('conv: no spatial axes', general(0)),
  conv('conv: one spatial axis', general(1, 0)),
  conv('conv: two spatial axes', general(2)),
  conv('conv: three spatial axes', general(3)),
  gradientCase(
    'conv2d',
    fc
      .record({
        groups: from1(2),
        size: pair(fc.integer({ min: 3, max: 5 })),
        kernel: pair(from1(2)),
        stride: fc.oneof(from1(2), pair(from1(3))),
        padding: padding2d,
        dilation: fc.oneof(from1(2), pair(from1(2))),
      })
      .chain(({ groups, size, kernel, ...options }) =>
        fc.record({
          x: tensors({ shape: [2, 2 * groups, ...size] }),
          weight: tensors({ shape: [groups, 2, ...kernel] }),
          bias: fc.option(tensors({ shape: [groups] }), { nil: undefined }),
          options: fc.constant({ ...options, groups }),
        }),
      ),
    ({ x, weight, bias, options }) => ({
      inputs: bias === undefined ? [x, weight] : [x, weight, bias],
      f: (x, weight, bias) => t.conv2d(x as t.Tensor, weight as t.Tensor, { ...options, bias }),
    }),
  ),
  gradientCase(
    'convTranspose2d',
    fc
      .record({
        groups: from1(2),
        size: pair(fc.integer({ min: 2, max: 3 })),
        kernel: pair(fc.integer({ min: 2, max: 3 })),
        stride: fc.constantFrom<t.Pair[]>(2, 3, [2, 3], [3, 2]),
        padding: fc.constantFrom<t.Pair[]>(0, 1, [0, 1]),
        outputPadding: fc.constantFrom<t.Pair[]>(0, 1, [1, 0]),
        dilation: fc.constantFrom<t.Pair[]>(1, 2, [1, 2]),
      })
      .chain(({ groups, size, kernel, ...options }) =>
        fc.record({
          x: tensors({ shape: [1, 2 * groups, ...size] }),
          weight: tensors({ shape: [2 * groups, 2, ...kernel] }),
          bias: fc.option(tensors({ shape: [2 * groups] }), { nil: undefined }),
          options: fc.constant({ ...options, groups }),
        }),
      ),
    ({ x, weight, bias, options }) => ({
      inputs: bias === undefined ? [x, weight] : [x, weight, bias],
      f: (x, weight, bias) => t.convTranspose2d(x as t.Tensor, weight as t.Tensor, { ...options, bias }),
    }),
  ),
];

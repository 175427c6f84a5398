import fc from 'fast-check';
import { tensors, type ValueOptions } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

const from1 = (max: number) => fc.integer({ min: 1, max });
const pair = fc.tuple(from1(7), from1(7));

const images = (values: ValueOptions = {}) =>
  fc.tuple(from1(2), from1(2), from1(5), from1(5)).chain((shape) => tensors({ shape, ...values }));

/** Windows that fit: a kernel at most as large as the image, padding smaller than the kernel. */
const pool = (values: ValueOptions = {}) =>
  fc
    .record({
      x: images(values),
      kernel: pair,
      stride: fc.option(pair, { nil: undefined }),
      padding: fc.array(fc.nat(9), { minLength: 4, maxLength: 4 }),
    })
    .map(({ x, kernel, stride, padding }) => {
      const [, , height, width] = x.shape as readonly [number, number, number, number];
      const [kh, kw] = [Math.min(kernel[0], height), Math.min(kernel[1], width)];
      const [top, bottom, left, right] = padding as [number, number, number, number];
      const margins = [
        [top % kh, bottom % kh],
        [left % kw, right % kw],
      ] as const;
      return {
        x,
        options: { kernel: [kh, kw] as const, ...(stride === undefined ? {} : { stride }), padding: margins },
      };
    });

const resize = (name: string, f: (x: t.Tensor, size: readonly [number, number]) => t.Tensor): GradientCase =>
  gradientCase(name, fc.record({ x: images(), size: pair }), ({ x, size }) => ({
    inputs: [x],
    f: (x) => f(t.sin(x), size),
  }));

export const spatialCases: readonly GradientCase[] = [
  gradientCase('avgPool2d', pool(), ({ x, options }) => ({ inputs: [x], f: (x) => t.avgPool2d(t.sin(x), options) })),
  gradientCase('avgPool2d: padding left out', pool(), ({ x, options }) => ({
    inputs: [x],
    f: (x) => t.avgPool2d(t.sin(x), { ...options, countIncludePad: false }),
  })),
  gradientCase('maxPool2d', pool({ distinct: true, range: [-1.5, 1.5] }), ({ x, options }) => ({
    inputs: [x],
    f: (x) => t.maxPool2d(t.sin(x), options),
  })),
  resize('resizeNearest', t.resizeNearest),
  resize('resizeBilinear', t.resizeBilinear),
];

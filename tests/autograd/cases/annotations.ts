import fc from 'fast-check';
import { checkpoint, customGradient } from '../../../autograd/index.ts';
import { broadcastableShapes, shapes, tensors } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { makeNode } from '../../../tensor/internal.ts';
import { type GradientCase, gradientCase } from './gradientCase.ts';

type Tensor = t.Tensor;

const x = tensors({ shape: shapes({ minSize: 0, maxElements: 12 }) });

const pair = broadcastableShapes(2, { maxElements: 12 }).chain(([a = [], b = []]) =>
  fc.record({ a: tensors({ shape: a }), b: tensors({ shape: b }) }),
);

/** sin(a)·b with a rule of its own. */
const own = customGradient(
  (a: Tensor, b: Tensor) => t.mul(t.sin(a), b),
  (g, { args: [a, b] }) => [t.mul(t.mul(g, t.cos(a)), b), t.mul(g, t.sin(a))],
);

export const annotationCases: readonly GradientCase[] = [
  gradientCase('variable', x, (x) => ({
    inputs: [x],
    f: (x) => makeNode('variable', [t.sin(x)], {}, x.shape, x.dtype),
  })),
  gradientCase('barrier', x, (x) => ({
    inputs: [x],
    f: (x) => makeNode('barrier', [t.sin(x), t.exp(x)], {}, x.shape, x.dtype),
  })),
  gradientCase('customGradient', x, (x) => ({ inputs: [x], f: (x) => own(x, t.cos(x)) })),
  gradientCase('checkpoint', pair, ({ a, b }) => ({
    inputs: [a, b],
    f: (a, b) => checkpoint((x: Tensor) => t.sin(t.mul(t.exp(x), b as Tensor)))(a as Tensor),
  })),
];

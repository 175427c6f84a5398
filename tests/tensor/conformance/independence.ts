import fc from 'fast-check';
import { expect, test } from 'vitest';
import { grad } from '../../../autograd/index.ts';
import { programInputs, programs, runProgram } from '../../../autograd/testing/index.ts';
import * as t from '../../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../../tensor/internal.ts';
import { generator } from './naive.ts';
import { type DeviceOf, had } from './support.ts';

type Graph = (inputs: readonly t.Tensor[]) => readonly t.Tensor[];

/** The bits of a graph's result; `beside` chooses the tensors computed in the same run. */
async function bitsOf(
  device: t.Device,
  inputs: readonly t.Tensor[],
  graph: Graph,
  beside: (pending: readonly t.Tensor[]) => readonly t.Tensor[],
): Promise<unknown[]> {
  const results = graph(inputs);
  const pending = topologicalOrder(results, t.inputsOf).filter((node) => sourceOf(node).kind === 'pending');
  const all = [...new Set([...results, ...beside(pending)])];
  await t.realize(all, { device });
  const bits = await Promise.all(results.map((result) => t.readStorage(result)));
  t.dispose(all.filter((tensor) => !inputs.includes(tensor)));
  return bits;
}

const nothing = (): readonly t.Tensor[] => [];
const everything = (pending: readonly t.Tensor[]): readonly t.Tensor[] => pending;

const general = { before: [1, 1], after: [1, 1], inputDilation: [1, 1], kernelDilation: [1, 1], groups: 1 };
const flat = { ...general, strides: [1, 1], before: [0, 0], after: [0, 0] };

/** Arrays of this shape made in different ways: from a leaf or a computed tensor, through views of many kinds. */
const views: Readonly<Record<string, (shape: readonly number[], make: (shape: number[]) => t.Tensor) => t.Tensor>> = {
  'steps of two': (shape, make) => {
    const x = make(shape.map((size) => 2 * size));
    return t.slice(
      x,
      shape.map(() => 0),
      x.shape,
      shape.map(() => 2),
    );
  },
  'an offset': (shape, make) =>
    t.slice(
      make(shape.map((size) => size + 1)),
      shape.map(() => 1),
    ),
  'axes exchanged': (shape, make) =>
    t.permute(
      make([...shape].reverse()),
      shape.map((_, i) => shape.length - 1 - i),
    ),
  'axes merged that do not follow one another': (shape, make) => {
    const last = shape.at(-1) as number;
    return t
      .reshape(t.transpose(make([...shape.slice(0, -2), last, shape.at(-2) as number])), shape)
      .reshape([...shape]);
  },
  backwards: (shape, make) => t.flip(make([...shape])),
  'one row repeated': (shape, make) => t.broadcastTo(make(shape.map((size, i) => (i === 0 ? 1 : size))), shape),
};

/** The result of an operator does not depend, to the bit, on other results of the same run. */
export function independence(device: DeviceOf): void {
  const products: Readonly<Record<string, readonly [readonly (readonly number[])[], (...xs: t.Tensor[]) => t.Tensor]>> =
    {
      'matmul of few rows': [
        [
          [2, 513],
          [513, 7],
        ],
        (a, b) => t.matmul(a, b),
      ],
      'matmul of one column': [
        [
          [9, 300],
          [300, 1],
        ],
        (a, b) => t.matmul(a, b),
      ],
      'matmul of many rows': [
        [
          [40, 300],
          [300, 30],
        ],
        (a, b) => t.matmul(a, b),
      ],
      'matmul in batches': [
        [
          [3, 3, 270],
          [3, 270, 6],
        ],
        (a, b) => t.matmul(a, b),
      ],
      'conv of three taps': [
        [
          [2, 30, 9, 9],
          [4, 30, 3, 3],
        ],
        (x, w) => t.conv(x, w, { ...general, strides: [2, 1] }),
      ],
      'conv of one tap': [
        [
          [1, 300, 9, 9],
          [3, 300, 1, 1],
        ],
        (x, w) => t.conv(x, w, flat),
      ],
      attention: [
        [
          [2, 3, 5, 36],
          [2, 3, 70, 36],
          [2, 3, 70, 36],
        ],
        (q, k, v) => t.scaledDotProductAttention(q, k, v),
      ],
    };
  for (const [name, [shapes, apply]] of Object.entries(products)) {
    test(`${name}: whichever operands are results too`, async () => {
      for (const dtype of had(device(), ['f32', 'f64', 'f16'] as const)) {
        const random = generator(5);
        const names = Object.keys(views);
        // Only a few combinations on WebGPU, where shaders take long to compile.
        const chosen = device().name === 'webgpu' ? names.slice(0, 3) : names;
        for (const view of dtype === 'f16' ? chosen.slice(0, 2) : chosen) {
          for (const compute of [(x: t.Tensor) => x, t.sin]) {
            const leaves: t.Tensor[] = [];
            const build = (next: (shape: number[]) => t.Tensor): t.Tensor[] =>
              shapes.map((shape) => (views[view] as (typeof views)[string])(shape, (own) => compute(next(own))));
            build((shape) => {
              const values = Array.from({ length: t.sizeOf(shape) }, () => random() - 0.5);
              const leaf = t.tensor(values, { shape, dtype });
              leaves.push(leaf);
              return leaf;
            });
            const inputs = await t.realize(leaves, { device: device() });
            const graph: Graph = (given) => {
              let i = 0;
              return [apply(...build(() => given[i++] as t.Tensor))];
            };
            const alone = await bitsOf(device(), inputs, graph, nothing);
            expect(await bitsOf(device(), inputs, graph, everything), `${dtype}, ${view}`).toEqual(alone);
            t.dispose(inputs);
          }
        }
      }
    });
  }

  for (const dtype of ['f32', 'f64', 'f16', 'bf16'] as const) {
    test(`random programs of ${dtype}, with any of their values as results too`, async () => {
      if (!device().dtypes.has(dtype)) return;
      const webgpu = device().name === 'webgpu';
      await fc.assert(
        fc.asyncProperty(
          programs({ smooth: true, dtypes: [dtype], maxSteps: 8, minSize: 0 }),
          fc.infiniteStream(fc.boolean()),
          async (program, coins) => {
            const inputs = await t.realize(await t.copy(programInputs(program), { device: device() }));
            const graph: Graph = (given) => {
              const outputs = runProgram(program, given);
              if (!outputs.every((output) => t.isFloat(output.dtype))) return outputs;
              const loss = (xs: readonly t.Tensor[]) =>
                runProgram(program, xs).reduce<t.Tensor>(
                  (sum, output) => t.add(sum, t.cast(t.sum(output), 'f32')),
                  t.zeros([]),
                );
              return [...outputs, ...grad(loss)(given)];
            };
            const alone = await bitsOf(device(), inputs, graph, nothing);
            const some = (pending: readonly t.Tensor[]) => pending.filter(() => coins.next().value);
            expect(await bitsOf(device(), inputs, graph, some)).toEqual(alone);
            t.dispose(inputs);
          },
        ),
        { numRuns: webgpu ? 6 : 60, seed: 3 },
      );
    });
  }
}

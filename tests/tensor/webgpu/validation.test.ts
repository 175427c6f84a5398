import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { create } from 'webgpu';
import { vjp } from '../../../autograd/index.ts';
import { programInputs, programs, runProgram } from '../../../autograd/testing/index.ts';
import { readProgram } from '../../../tensor/compiler/program.ts';
import * as t from '../../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../../tensor/internal.ts';
import { attentionIsComposed } from '../../../tensor/webgpu/contractions/attention/index.ts';
import { draftPlan } from '../../../tensor/webgpu/plan.ts';
import { openAdapter } from '../../../tensor/webgpu/runtime/gpu.ts';
import { Pipelines } from '../../../tensor/webgpu/runtime/pipelines.ts';
import { plainTraits, type ShaderTraits } from '../../../tensor/webgpu/wgsl/shader.ts';

/**
 * Dawn's adapter that runs nothing offers every feature and checks every shader: so those for GPUs with f16 and subgroups
 * are known to compile, also where no GPU is to run them on.
 */
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
if (adapter === null) throw new Error('test bug: Dawn has no null backend');
const device = await openAdapter(adapter);
const pipelines = new Pipelines(device);
// Were these collected as garbage while shaders compile, Dawn would end the process.
const held = [gpu, adapter];
afterAll(() => {
  device.destroy();
  held.length = 0;
});

const traitsOf: Readonly<Record<string, ShaderTraits>> = {
  plain: plainTraits,
  'f16 as such': { ...plainTraits, halves: true },
  'subgroups of 32 and f16 as such': { ...plainTraits, halves: true, subgroupSize: 32 },
};

/** Compiles every kernel of a graph, for every kind of device. */
async function compile(outputs: readonly t.Tensor[], traits: ShaderTraits): Promise<number> {
  const order = topologicalOrder(outputs, t.inputsOf).filter((tensor) => sourceOf(tensor).kind === 'pending');
  const pending = [...new Set(outputs)].filter((output) => sourceOf(output).kind === 'pending');
  const plans = [true, false].map((software) => {
    const options = { software, traits, fuse: true };
    return draftPlan(readProgram(order, pending, attentionIsComposed(options)), options).plan([]);
  });
  const kernels = plans.flatMap((plan) => plan.kernels.map(({ kernel }) => kernel));
  await Promise.all(kernels.map((kernel) => pipelines.get(kernel)));
  return kernels.length;
}

const leaf = (dtype: t.DType, ...shape: readonly number[]): t.Tensor =>
  t.tensor(new Float32Array(t.sizeOf(shape)), { shape, dtype });

/** What random programs are too small for, or do not do, by the dtype. */
const graphs: Readonly<Record<string, (dtype: t.FloatDType) => readonly t.Tensor[]>> = {
  'matrix products': (dtype) => {
    const [a, b] = [leaf(dtype, 130, 96), leaf(dtype, 96, 72)];
    return [t.matmul(a, b), t.matmul(t.transpose(b), t.transpose(a)), t.silu(t.matmul(a, b).add(leaf(dtype, 72)))];
  },
  'convolutions and their gradients': (dtype) => {
    const [x, w] = [leaf(dtype, 2, 8, 17, 16), leaf(dtype, 12, 8, 3, 3)];
    const { value, pullback } = vjp((a: t.Tensor, b: t.Tensor) => t.conv2d(a, b, { padding: 1, stride: 2 }), x, w);
    return [value, ...pullback(t.onesLike(value))];
  },
  'attention and its gradients': (dtype) => {
    const inputs = [leaf(dtype, 2, 3, 65, 40), leaf(dtype, 2, 3, 77, 40), leaf(dtype, 2, 3, 77, 40)] as const;
    const { value, pullback } = vjp(
      (q: t.Tensor, k: t.Tensor, v: t.Tensor) => t.scaledDotProductAttention(q, k, v),
      ...inputs,
    );
    return [value, ...pullback(t.onesLike(value))];
  },
  'norms of long and short rows': (dtype) => {
    const x = leaf(dtype, 6, 64, 33, 8);
    return [t.silu(t.groupNorm(x, 8)), t.softmax(x, -1), t.sum(leaf(dtype, 3, 70001), [1]), t.max(x, [0, 2])];
  },
  'steps of their own': (dtype) => {
    const x = leaf(dtype, 40, 33);
    const index = t.tensor(new Int32Array(40 * 33), { shape: [40, 33] });
    return [t.argMax(x, 1), t.cumsum(x, 0), t.sort(x, 1), t.scatterAdd(x, index, x, 0), t.gather(x, index, 0)];
  },
  'random numbers': (dtype) => [t.cast(t.random.normal(t.key(1), [300]), dtype), t.random.permutation(t.key(2), 50)],
};

describe.each(Object.entries(traitsOf))('shaders compile: %s', (_, traits) => {
  test.each(Object.entries(graphs))('%s', async (_name, build) => {
    for (const dtype of ['f32', 'f16', 'bf16'] as const) expect(await compile(build(dtype), traits)).toBeGreaterThan(0);
  });

  test('random programs and their gradients', async () => {
    const many = programs({ dtypes: ['f32', 'f16', 'bf16', 'i32', 'bool'], maxSteps: 10 });
    await fc.assert(
      fc.asyncProperty(many, async (program) => {
        await compile(runProgram(program, programInputs(program)), traits);
      }),
      { numRuns: 25, seed: 20261 },
    );
    await fc.assert(
      fc.asyncProperty(programs({ smooth: true, dtypes: ['f16'], maxSteps: 8 }), async (program) => {
        const { value, pullback } = vjp((...xs: t.Tensor[]) => runProgram(program, xs), ...programInputs(program));
        await compile([...value, ...pullback(value.map((x) => t.onesLike(x)))], traits);
      }),
      { numRuns: 15, seed: 20262 },
    );
  });
});

test('a shader that does not compile is found out', async () => {
  const source = 'enable f16;\n@compute @workgroup_size(64) fn main() { let x: f16 = 1.0f; }';
  const kernel = { label: 'wrong', source, numbers: [], bindings: [], groups: [1, 1, 1] as const };
  await expect(pipelines.get(kernel as never)).rejects.toThrow("the kernel 'wrong' cannot be compiled");
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { vjp } from '../../../autograd/index.ts';
import { programInputs, programs, runProgram } from '../../../autograd/testing/index.ts';
import { readProgram } from '../../../tensor/compiler/program.ts';
import * as t from '../../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../../tensor/internal.ts';
import { attentionIsComposed } from '../../../tensor/webgpu/contractions/attention/index.ts';
import { draftPlan } from '../../../tensor/webgpu/plan.ts';
import type { TaskOptions } from '../../../tensor/webgpu/tasks.ts';
import { plainTraits, type ShaderTraits } from '../../../tensor/webgpu/wgsl/shader.ts';

const planOf = (outputs: readonly t.Tensor[], options: Partial<TaskOptions> = {}) => {
  const order = topologicalOrder(outputs, t.inputsOf).filter((tensor) => sourceOf(tensor).kind === 'pending');
  const all = { software: true, traits: plainTraits, fuse: true, ...options };
  return draftPlan(readProgram(order, outputs, attentionIsComposed(all)), all).plan([]);
};

/** Every adapter has eight storage buffers for a kernel, and many have no more. */
const mostBuffers = 8;
const buffersOf = (outputs: readonly t.Tensor[], options?: { fuse?: boolean }): number =>
  Math.max(0, ...planOf(outputs, options).kernels.map(({ kernel }) => kernel.bindings.length));

const leaf = (...shape: readonly number[]): t.Tensor =>
  t.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape });
const leaves = (count: number): t.Tensor[] => Array.from({ length: count }, () => leaf(5));
const total = (xs: readonly t.Tensor[]): t.Tensor => xs.reduce((sum, x) => t.add(sum, x));

describe('a kernel has no more buffers than every adapter allows', () => {
  for (const fuse of [true, false]) {
    test(`where few or many are joined${fuse ? '' : ', without fusion'}`, () => {
      for (let count = 2; count < 12; count++) {
        expect(buffersOf([t.concat(leaves(count))], { fuse })).toBeLessThanOrEqual(mostBuffers);
        expect(buffersOf([t.neg(t.concat(leaves(count)))], { fuse })).toBeLessThanOrEqual(mostBuffers);
      }
    });
  }

  test('where a value gets a buffer only after another has used it', () => {
    const [a, b, c, d, e, f, ...others] = leaves(12) as [t.Tensor, t.Tensor, t.Tensor, t.Tensor, t.Tensor, t.Tensor];
    const [left, right] = [t.add(a, b), t.add(c, d)];
    const first = t.mul(t.mul(left, right), total([f, a, c, e, d, b]));
    const later = [t.mul(left, total(others)), t.mul(right, total([...others].reverse()))];
    expect(buffersOf([first, ...later])).toBeLessThanOrEqual(mostBuffers);
  });

  test('in random programs and their gradients', () => {
    fc.assert(
      fc.property(programs({ smooth: true, dtypes: ['f32'], maxSteps: 14, minSize: 0 }), (program) => {
        const { value, pullback } = vjp((...xs: t.Tensor[]) => runProgram(program, xs), ...programInputs(program));
        const outputs = [...value, ...pullback(value.map((x) => t.onesLike(x)))];
        const pending = [...new Set(outputs)].filter((output) => sourceOf(output).kind === 'pending');
        expect(buffersOf(pending)).toBeLessThanOrEqual(mostBuffers);
      }),
      { numRuns: 200, seed: 20260 },
    );
  });
});

test('contractions read halves as they are, and results are stored without atomics where there is f16', () => {
  const planWith = (traits: ShaderTraits) => {
    const half = (rows: number, columns: number): t.Tensor => t.cast(leaf(rows, columns), 'f16');
    const [a, b] = [half(80, 70), half(70, 90)];
    return planOf([t.matmul(a, b), t.sum(a, 1)], { traits });
  };
  const packed = planWith(plainTraits);
  expect(packed.reports.flatMap(({ writes }) => writes)).not.toContain('f32[80, 70]');
  expect(packed.reports.flatMap(({ writes }) => writes)).not.toContain('f32[70, 90]');
  const sources = ({ kernels }: typeof packed): string[] => kernels.map(({ kernel }) => kernel.source);
  expect(sources(packed).some((source) => source.includes('atomic'))).toBe(true);
  const native = sources(planWith({ ...plainTraits, halves: true }));
  expect(native.some((source) => source.includes('atomic'))).toBe(false);
  expect(native.every((source) => source.startsWith('enable f16;'))).toBe(true);
});

test('rows are joined within subgroups where there are any', () => {
  const source = (subgroupSize: number | undefined): string => {
    const order = [t.sum(leaf(300, 500), 1)];
    const [sum] = draftPlan(readProgram(order, order), {
      software: false,
      traits: { ...plainTraits, subgroupSize },
      fuse: true,
    }).plan([]).kernels;
    return sum?.kernel.source ?? '';
  };
  expect(source(undefined)).not.toContain('subgroup');
  expect(source(32)).toMatch(/^enable subgroups;(.|\n)*subgroupShuffleXor\(\w+, 16u\)/);
});

test('neighbours are read and written as vectors where they are whole ones', () => {
  const typesOf = (output: t.Tensor): string[] =>
    planOf([output]).kernels.flatMap(({ kernel }) =>
      [...kernel.source.matchAll(/> b\d+: array<(.*)>;/g)].map(([, type]) => type as string),
    );
  const f32 = 'vec4<f32>';
  expect(typesOf(t.mul(leaf(5, 8), leaf(8)))).toEqual([f32, f32, f32]);
  expect(typesOf(t.mul(leaf(5, 8), leaf(5, 1)))).toEqual([f32, f32, 'f32']);
  expect(typesOf(t.mul(leaf(5, 6), leaf(6)))).toEqual(['vec2<f32>', 'vec2<f32>', 'vec2<f32>']);
  expect(typesOf(t.mul(leaf(5, 9), leaf(9)))).toEqual(['f32', 'f32', 'f32']);
  expect(typesOf(t.mul(t.transpose(leaf(8, 8)), leaf(8, 8)))).toEqual([f32, 'f32', f32]);
  expect(typesOf(t.cast(leaf(5, 8), 'bf16'))).toEqual(['vec2<u32>', f32]);
  expect(typesOf(t.cast(leaf(5, 6), 'bf16'))).toEqual(['u32', 'vec2<f32>']);
  expect(typesOf(t.sum(leaf(50, 64), 1))).toEqual(['f32', f32]);
});

describe('attention', () => {
  const [heads, tokens, width] = [8, 1024, 40];
  const scoreBytes = 4 * heads * tokens * tokens;
  const inputs = (): [t.Tensor, t.Tensor, t.Tensor] => [
    leaf(heads, tokens, width),
    leaf(heads, tokens, width),
    leaf(heads, tokens, width),
  ];
  const attended = (): t.Tensor[] => [t.scaledDotProductAttention(...inputs())];
  const withGradients = (): t.Tensor[] => {
    const { value, pullback } = vjp((q, k, v) => t.scaledDotProductAttention(q, k, v), ...inputs());
    return [value, ...pullback(leaf(heads, tokens, width))];
  };
  const workingBytes = (plan: ReturnType<typeof planOf>): number =>
    plan.slots.reduce((sum, { bytes }) => sum + bytes, 0);

  test('keeps no scores, nor do its gradients on a GPU', () => {
    const inputBytes = 4 * heads * tokens * width;
    expect(workingBytes(planOf(attended()))).toBeLessThanOrEqual(2 * inputBytes);
    const plan = planOf(withGradients(), { software: false });
    // The scaled queries, their gradients and those of keys and values in one row, and three numbers for each query.
    expect(workingBytes(plan)).toBeLessThanOrEqual(4 * inputBytes + 12 * heads * tokens);
    const masked = vjp(
      (q, k, v) => t.scaledDotProductAttention(q, k, v, { mask: leaf(tokens, tokens) }),
      ...inputs(),
    ).pullback(leaf(heads, tokens, width));
    for (const { kernels } of [plan, planOf(masked, { software: false })])
      expect(Math.max(...kernels.map(({ kernel }) => kernel.bindings.length))).toBeLessThanOrEqual(mostBuffers);
  });

  test('has gradients that are composed on a CPU, where they take less time with the scores', () => {
    expect(workingBytes(planOf(withGradients()))).toBeGreaterThanOrEqual(scoreBytes);
  });

  test('is composed where its inputs are in more parts than a kernel sees', () => {
    const traits = { ...plainTraits, bindingBytes: 4 * heads * tokens * width };
    const kernelsWith = (bindingBytes: number): string[] =>
      planOf(attended(), { traits: { ...traits, bindingBytes } }).reports.map(({ description }) => description);
    expect(kernelsWith(traits.bindingBytes / 2)).toContain('attention');
    expect(
      attentionIsComposed({ software: false, traits: { ...traits, bindingBytes: traits.bindingBytes / 3 } })(
        'attention',
        inputs(),
      ),
    ).toBe(true);
  });
});

describe('what a contraction stores', () => {
  const kernelsOf = (...outputs: readonly t.Tensor[]): string[] =>
    planOf(outputs).reports.map(({ description }) => description);
  const x = leaf(6, 20);
  const layer = (): t.Tensor => t.add(t.matmul(x, leaf(20, 30)), leaf(30));

  test('is what is made of its elements one by one', () => {
    expect(kernelsOf(t.silu(layer()))).toEqual(['matmul add sigmoid mul']);
    expect(kernelsOf(t.add(t.reshape(layer(), [2, 3, 30]), leaf(2, 3, 30)))).toEqual(['matmul add add']);
    const convolved = t.conv2d(leaf(2, 4, 5, 5), leaf(8, 4, 3, 3), { padding: 1 });
    expect(kernelsOf(t.add(t.add(convolved, leaf(8, 1, 1)), leaf(2, 8, 5, 5)))).toEqual(['conv add add']);
    expect(kernelsOf(t.matmul(t.silu(layer()), leaf(30, 4)))).toEqual(['matmul add sigmoid mul', 'matmul']);
  });

  test('is itself where several use it, and where one kernel would make the rest in passing', () => {
    const product = t.matmul(x, leaf(20, 30));
    expect(kernelsOf(t.neg(product), t.exp(product))).toEqual(['matmul', 'neg exp']);
    expect(kernelsOf(t.sum(t.exp(t.matmul(x, leaf(20, 30))), 1))).toEqual(['matmul', 'exp sum']);
    expect(kernelsOf(product, t.neg(product))).toEqual(['matmul', 'neg']);
  });

  test('is what several use, made once', () => {
    const made = layer();
    expect(kernelsOf(t.sum(made, 1), t.mul(made, 2))).toEqual(['matmul add', expect.any(String)]);
  });

  test('is no part of what lies elsewhere', () => {
    expect(kernelsOf(t.neg(t.transpose(t.matmul(x, leaf(20, 30)))))).toEqual(['matmul', 'neg']);
  });

  test('may be halves, or of any other dtype', () => {
    expect(kernelsOf(t.cast(t.neg(t.matmul(x, leaf(20, 30))), 'f16'))).toEqual(['matmul neg cast']);
    expect(kernelsOf(t.less(t.matmul(x, leaf(20, 30)), 0))).toEqual(['matmul less']);
    for (const dtype of ['f16', 'bf16'] as const) {
      const half = (...shape: readonly number[]): t.Tensor =>
        t.tensor(new Array<number>(t.sizeOf(shape)).fill(0), { shape, dtype });
      const product = t.matmul(half(6, 20), half(20, 30));
      expect(kernelsOf(product)).toEqual(['matmul cast']);
      expect(kernelsOf(t.silu(t.add(product, half(30))))).toEqual([expect.stringMatching(/^matmul cast add/)]);
      expect(kernelsOf(t.add(t.cast(product, 'f32'), leaf(30)))).toEqual(['matmul cast cast add']);
    }
  });

  test('are halves of whole words, without atomics, where neighbours are an even number', () => {
    const sourceOf = (columns: number, traits = plainTraits): string => {
      const [a, b] = [leaf(80, 70), leaf(70, columns)].map((x) => t.cast(x, 'f16')) as [t.Tensor, t.Tensor];
      return planOf([t.matmul(a, b)], { traits }).kernels.at(-1)?.kernel.source ?? '';
    };
    expect(sourceOf(92)).toMatch(/read_write> b\d: array<vec2<u32>>/);
    expect(sourceOf(90)).toMatch(/read_write> b\d: array<u32>/);
    expect(sourceOf(91)).toMatch(/read_write> b\d: array<atomic<u32>>/);
    expect(sourceOf(92, { ...plainTraits, halves: true })).toMatch(/read_write> b\d: array<vec4<f16>>/);
  });

  test('takes the place of what it was added to, unless that is one of its factors', () => {
    const order = (output: t.Tensor) => ({ order: topologicalOrder([output], t.inputsOf), outputs: [output] });
    const takersOf = (output: t.Tensor) => {
      const graph = order(output);
      const program = readProgram(
        graph.order.filter((tensor) => sourceOf(tensor).kind === 'pending'),
        graph.outputs,
      );
      const draft = draftPlan(program, { software: true, traits: plainTraits, fuse: true });
      const taken = draft.aliasing.assign(() => true);
      const [slot] = taken;
      return slot === undefined ? undefined : { leaf: program.leaves[slot], bindings: draft.plan(taken).kernels };
    };
    const [w, slope] = [leaf(20, 30), leaf(6, 30)];
    const updated = t.sub(w, t.mul(t.matmul(t.transpose(x), slope), 0.1));
    const taken = takersOf(updated);
    expect(taken?.leaf).toBe(w);
    expect(taken?.bindings.map(({ kernel }) => kernel.bindings.length)).toEqual([3]);
    const square = leaf(20, 20);
    expect(takersOf(t.add(t.matmul(square, square), square))).toBeUndefined();
  });
});

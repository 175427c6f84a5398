import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  broadcastableShapes,
  formatProgram,
  type Program,
  programInputs,
  programOperators,
  programs,
  runProgram,
  shapes,
  tensors,
  views,
} from '../../autograd/testing/index.ts';
import { broadcastShapes, dtypes, isFloat, read, realize, sizeOf, type Tensor } from '../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../tensor/internal.ts';

/** The smallest failing value that fast-check shrinks to. */
async function smallest<T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => boolean): Promise<T> {
  const { counterexample } = fc.check(fc.property(arbitrary, holds), { numRuns: 2000, seed: 1 });
  expect(counterexample).not.toBeNull();
  return (counterexample as [T])[0];
}

describe('shapes', () => {
  test('respect their options', () => {
    const options = { minRank: 1, maxRank: 3, minSize: 0, maxSize: 7, maxElements: 20 };
    fc.assert(
      fc.property(shapes(options), (shape) => {
        expect(shape.length).toBeGreaterThanOrEqual(1);
        expect(shape.length).toBeLessThanOrEqual(3);
        expect(sizeOf(shape)).toBeLessThanOrEqual(20);
        expect(shape.every((size) => size >= 0 && size <= 7)).toBe(true);
      }),
    );
  });

  test('include empty ones, scalars, ones and primes', () => {
    const found = fc.sample(shapes({ minSize: 0 }), { numRuns: 500, seed: 1 });
    expect(found.some((shape) => shape.length === 0)).toBe(true);
    for (const size of [0, 1, 2, 3, 5, 7]) expect(found.some((shape) => shape.includes(size))).toBe(true);
  });

  test('shrink to the smallest', async () => {
    expect(await smallest(shapes(), (shape) => shape.length < 2)).toEqual([1, 1]);
    expect(await smallest(shapes(), (shape) => shape.every((size) => size < 5))).toEqual([5]);
  });

  test('broadcastable ones broadcast to the full one', () => {
    fc.assert(
      fc.property(broadcastableShapes(3, { minSize: 0 }), (list) => {
        const full = broadcastShapes('test', ...list);
        expect(list).toHaveLength(3);
        expect(list.some((shape) => shape.join() === full.join())).toBe(true);
      }),
    );
    const some = fc.sample(broadcastableShapes(2), { numRuns: 300, seed: 1 });
    expect(some.some(([a, b]) => a?.length !== b?.length)).toBe(true);
    expect(some.some(([a, b]) => a?.length === b?.length && a?.join() !== b?.join())).toBe(true);
  });
});

describe('tensors', () => {
  test('have the shape, dtype and range asked for', async () => {
    const options = { range: [-1, 1], avoid: [0], margin: 0.1, distinct: true } as const;
    await fc.assert(
      fc.asyncProperty(tensors(options), async (x) => {
        const values = [...(await read(x))];
        expect(values.every((value) => Math.abs(value) <= 1 && Math.abs(value) > 0.1)).toBe(true);
        expect(new Set(values).size).toBe(values.length);
      }),
    );
  });

  test('come in every dtype, with special values on request', async () => {
    const specials = await Promise.all(
      fc
        .sample(tensors({ dtype: fc.constantFrom(...dtypes), special: true, shape: [8] }), { numRuns: 200, seed: 1 })
        .map(async (x) => ({ dtype: x.dtype, values: [...(await read(x))] })),
    );
    for (const dtype of dtypes) {
      const values = specials.filter((x) => x.dtype === dtype).flatMap((x) => x.values);
      expect(values.some(Number.isNaN)).toBe(isFloat(dtype));
      expect(values.includes(Number.POSITIVE_INFINITY)).toBe(isFloat(dtype));
      if (dtype === 'bool') expect(new Set(values)).toEqual(new Set([0, 1]));
    }
  });

  test('print as the code that makes them', () => {
    const [x] = fc.sample(tensors({ shape: [1, 2], range: [1, 1], dtype: 'f32' }), 1);
    expect(fc.stringify(x)).toBe("tensor([1, 1], { shape: [1, 2], dtype: 'f32' })");
  });
});

test('views hold the elements that the host expects', async () => {
  await fc.assert(
    fc.asyncProperty(views(), async ({ tensor, values }) => {
      expect([...(await read(tensor))]).toEqual(values);
    }),
    { numRuns: 1000 },
  );
});

describe('programs', () => {
  const size = (program: Program) => program.steps.length;

  test('run, on any dtypes', async () => {
    await fc.assert(
      fc.asyncProperty(
        programs({ dtypes: ['f32', 'f64', 'f16', 'bf16', 'i32', 'u32', 'bool'], minSize: 0 }),
        async (program) => {
          await realize(runProgram(program, programInputs(program)));
          expect(formatProgram(program)).toMatch(/^return /m);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('on floats stay small', async () => {
    await fc.assert(
      fc.asyncProperty(programs(), async (program) => {
        for (const output of runProgram(program, programInputs(program))) {
          expect((await read(output)).every((value) => Math.abs(value) <= 2.5)).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('reach every operator', () => {
    const reached = new Set<string>();
    const all = programs({ dtypes: ['f64', 'i32', 'bool'] });
    for (const program of fc.sample(all, { numRuns: 3000, seed: 1 })) {
      for (const [, name] of formatProgram(program).matchAll(/(\w+)\(/g)) reached.add(name as string);
    }
    const own = { attention: 'scaledDotProductAttention' } as Record<string, string>;
    expect(Object.keys(programOperators).filter((name) => !reached.has(own[name] ?? name))).toEqual([]);
  });

  test('print as code', () => {
    const program: Program = {
      inputs: [
        { dtype: 'f64', shape: [2, 3], values: [1, 2] },
        { dtype: 'f64', shape: [3], values: [3] },
      ],
      steps: [
        { operator: 'add', picks: [1, 1] },
        { operator: 'sin', picks: [0] },
        { operator: 'matmul', picks: [0, 0] },
      ],
      maxElements: 64,
      dtypes: ['f64'],
    };
    expect(formatProgram(program).split('\n')).toEqual([
      'const a = /* f64[2, 3] of eighths */ [1, 2];',
      'const b = /* f64[3] of eighths */ [3];',
      'const c = mul(add(a, a), 0.5);',
      'const d = sin(c);',
      'const e = mul(matmul(d, transpose(d)), 0.125);',
      'return [e];',
    ]);
  });

  test('shrink to little more than the step that fails', async () => {
    const uses = (program: Program, primitive: string) =>
      topologicalOrder<Tensor>(runProgram(program, programInputs(program)), (x) => {
        const source = sourceOf(x);
        return source.kind === 'pending' ? source.node.inputs : [];
      }).some((x) => {
        const source = sourceOf(x);
        return source.kind === 'pending' && source.node.primitive === primitive;
      });
    const found = await smallest(programs(), (program) => !uses(program, 'cumsum'));
    expect(size(found)).toBe(1);
    expect(found.inputs).toHaveLength(1);
    expect(found.inputs[0]?.shape).toEqual([1]);
  });
});

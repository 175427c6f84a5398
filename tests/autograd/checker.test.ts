import { describe, expect, test } from 'vitest';
import { customGradient } from '../../autograd/index.ts';
import { accuracyOf } from '../../autograd/testing/differences.ts';
import {
  checkGradientFunction,
  checkGradients,
  GradientCheckError,
  type GradientReport,
} from '../../autograd/testing/index.ts';
import * as t from '../../tensor/index.ts';

type Tensor = t.Tensor;

const vector = (...values: number[]): Tensor => t.tensor(values, { dtype: 'f64' });

/** The error that a check throws. */
async function failure(check: Promise<GradientReport>): Promise<GradientCheckError> {
  const error = await check.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(GradientCheckError);
  return error as GradientCheckError;
}

/** x·y with one wrong element in the gradient by y. */
const faulty = customGradient(
  (x: Tensor, y: Tensor) => t.mul(x, y),
  (g, { args: [x, y] }) => {
    const spot = t.mul(
      t.cast(t.equal(t.iota(y.shape, 1, 'i32'), 2), 'f64'),
      t.cast(t.equal(t.iota(y.shape, 0, 'i32'), 1), 'f64'),
    );
    return [t.mul(g, y), t.mul(t.mul(g, x), t.add(spot, 1))];
  },
);
const ones = (rows: number, columns: number) => t.ones([rows, columns], { dtype: 'f64' });

/** x² with the right gradient and a wrong second derivative. */
const bent = (factor: number) => (x: Tensor) => {
  const slope = customGradient(
    (y: Tensor) => t.mul(y, 2),
    (g) => [t.mul(g, 2 * factor)],
  );
  return customGradient(
    (y: Tensor) => t.square(y),
    (g, { args: [y] }) => [t.mul(g, slope(y))],
  )(x);
};

describe('checkGradients', () => {
  test('checks the second derivatives of every input', async () => {
    const x = vector(0.5, -1);
    const [right, wrong] = [bent(1), bent(1.5)];
    await checkGradients((a, b) => t.add(right(a), right(b)), [x, x], { order: 2 });
    for (const input of [0, 1, 2]) {
      const f = (...inputs: readonly Tensor[]) => inputs.map((y, i) => (i === input ? wrong : right)(y));
      const { report } = await failure(checkGradients(f, [x, x, x], { order: 2 }));
      expect(report.worst).toMatchObject({ order: 2, input: `${input}` });
    }
    // First derivatives are right.
    await checkGradients(wrong, [x]);
  });

  test('finds errors of one part in ten million, at both orders', async () => {
    const x = vector(0.5, -1, 3);
    const off = customGradient(
      (y: Tensor) => t.square(y),
      (g, { args: [y] }) => [t.mul(g, t.mul(y, 2 * (1 + 1e-7)))],
    );
    await failure(checkGradients(off, [x]));
    await failure(checkGradients(bent(1 + 1e-6), [x], { order: 2 }));
    // The gradient is tiny compared with the function's values, so only the absolute bound counts.
    const flat = customGradient(
      (y: Tensor) => t.mul(y, 0),
      (g) => [t.mul(g, 1e-8)],
    );
    await failure(checkGradients(flat, [x]));
  });

  test('steps and bounds follow from the precision', () => {
    expect(accuracyOf(2 ** -52)).toEqual({ step: 2 ** -13, atol: 1000 * 2 ** -39, rtol: 2 ** -26 });
    expect(accuracyOf(2 ** -24)).toEqual({ step: 2 ** -6, atol: 1000 * 2 ** -18, rtol: 2 ** -12 });
  });

  test('reports its comparisons', async () => {
    const report = await checkGradients((a, b) => t.mul(a, b), [vector(1, 2), vector(3, 4)]);
    expect(report).toMatchObject({ ok: true, checked: 4 });
    expect(report.worst?.error).toBeLessThanOrEqual(report.worst?.tolerance ?? 0);
  });

  test('names input, element and both derivatives', async () => {
    const { message, report } = await failure(checkGradients(faulty, [ones(2, 3), ones(2, 3)]));
    expect(message).toMatch(
      /^order 1: the gradient is wrong for input 1, element \[1, 2\]: analytic -?[\d.]+, numeric -?[\d.]+; they differ by/,
    );
    expect(report).toMatchObject({ ok: false, worst: { input: '1', index: [1, 2], order: 1 } });
    expect(report.worst?.analytic).toBeCloseTo(2 * (report.worst?.numeric ?? 0), 8);
  });

  test('finds the element in random directions too', async () => {
    const { report } = await failure(checkGradients(faulty, [ones(20, 30), ones(20, 30)]));
    expect(report).toMatchObject({ checked: 4, worst: { input: '1', index: [1, 2] } });
  });

  test('names the path within a tree', async () => {
    const f = (scale: Tensor, { layers }: { layers: readonly { weight: Tensor }[] }) =>
      layers.map(({ weight }, i) => (i === 1 ? faulty : t.mul)(scale, weight));
    const { report } = await failure(
      checkGradients(f, [ones(2, 3), { layers: [{ weight: ones(2, 3) }, { weight: ones(2, 3) }] }]),
    );
    expect(report.worst).toMatchObject({ input: '1.layers.1.weight', index: [1, 2] });
  });

  test('only reports with throws: false', async () => {
    const { ok } = await checkGradients(faulty, [ones(2, 3), ones(2, 3)], { throws: false });
    expect(ok).toBe(false);
  });

  test('finds an error in the second derivative alone', async () => {
    const square = customGradient(
      (x: Tensor) => t.square(x),
      (g, { args: [x] }) => [t.mul(t.mul(g, 2), t.stopGradient(x))],
    );
    expect((await checkGradients(square, [vector(1, 2)])).ok).toBe(true);
    const { message } = await failure(checkGradients(square, [vector(1, 2)], { order: 2 }));
    expect(message).toMatch(/^order 2: the second derivative/);
  });

  test('NaN and infinity fail, in values and in gradients', async () => {
    expect((await failure(checkGradients(t.log, [vector(1, -1)]))).message).toContain('both must be finite');
    await failure(checkGradients(t.sqrt, [vector(0, 1)]));
    await failure(
      checkGradients(
        customGradient(
          (x: Tensor) => x,
          (g) => [t.div(g, 0)],
        ),
        [vector(1)],
      ),
    );
    await failure(checkGradients((x) => t.mul(x, Number.NaN), [vector(1)], { mode: 'directions' }));
    await failure(checkGradients((x) => t.mul(x, Number.POSITIVE_INFINITY), [vector(1)]));
  });

  test('kinks fail', async () => {
    await failure(checkGradients(t.relu, [vector(0)]));
    await failure(checkGradients((x) => t.clamp(x, 0, 1), [vector(1)]));
  });

  test('floats of any dtype are checked in f64, other inputs are passed on', async () => {
    const x = t.tensor([1, 2, 3]);
    const index = t.tensor([0, 0, 2], { dtype: 'i32' });
    const seen: string[] = [];
    const f = (x: Tensor, index: Tensor) => {
      seen.push(x.dtype, index.dtype);
      return t.sin(t.gather(x, index, 0));
    };
    expect(await checkGradients(f, [x, index], { order: 2 })).toMatchObject({ ok: true, checked: 6 });
    expect(new Set(seen)).toEqual(new Set(['f64', 'i32']));
    await checkGradients(t.sin, [t.tensor([0.5, 1], { dtype: 'bf16' })]);
  });

  test('the function may return any tree, whose floats count', async () => {
    await checkGradients((x) => ({ values: t.topK(x, 2), list: [t.sin(x)], text: 'other' }), [vector(1, 3, 2)], {
      order: 2,
    });
  });

  test('a function that computes in f32 needs the option precision', async () => {
    const f = (x: Tensor) => t.sin(t.cast(x, 'f32'));
    await failure(checkGradients(f, [vector(0.3, 0.7)]));
    expect((await checkGradients(f, [vector(0.3, 0.7)], { precision: 2 ** -23 })).ok).toBe(true);
  });

  test('checks large and small numbers alike', async () => {
    await checkGradients((x) => t.mul(t.square(x), 1e-3), [vector(1e3, -1e6, 1e-6)], { order: 2 });
    await checkGradients((x) => t.mul(t.exp(x), 1e10), [vector(0, 1, -1)], { order: 2 });
  });

  test('tensors without elements, and constants', async () => {
    expect(await checkGradients(t.exp, [t.zeros([0, 3], { dtype: 'f64' })], { order: 2 })).toEqual({
      ok: true,
      worst: undefined,
      checked: 0,
    });
    await checkGradients((x) => t.zerosLike(x), [vector(1, 2)], { order: 2 });
  });

  test('is the same every time', async () => {
    const run = () => checkGradients((x) => t.exp(t.sin(x)), [t.arange(0, 100, 1, { dtype: 'f64' })], { order: 2 });
    expect(await run()).toEqual(await run());
  });

  test('throws if there is nothing to check', async () => {
    await expect(checkGradients((x: Tensor) => x, [t.tensor([1], { dtype: 'i32' })])).rejects.toThrow(
      'none of the inputs',
    );
    await expect(checkGradients((x) => t.greater(x, 0), [vector(1)])).rejects.toThrow('returned no float tensor');
  });

  test('leaves nothing behind on the device', async () => {
    const device = await t.openDevice('reference');
    const before = device.memory();
    await checkGradients((a, b) => t.matmul(a, b), [ones(2, 3), ones(3, 2)], { order: 2, device });
    expect(device.memory().buffers).toBe(before.buffers);
  });
});

describe('checkGradientFunction', () => {
  const cubes = {
    value: (x: Float64Array) => x.reduce((sum, xi) => sum + xi ** 3, 0),
    gradient: (x: Float64Array) => x.map((xi) => 3 * xi ** 2),
  };

  test('passes a right gradient, also an asynchronous one in a plain array', async () => {
    const x = Float64Array.of(0.5, -1, 20);
    expect(await checkGradientFunction(cubes, x)).toMatchObject({ ok: true, checked: 3 });
    const later = {
      value: async (x: Float64Array) => cubes.value(x),
      gradient: async (x: Float64Array) => [...cubes.gradient(x)],
    };
    expect((await checkGradientFunction(later, x)).ok).toBe(true);
  });

  test('names the wrong element', async () => {
    const wrong = { ...cubes, gradient: (x: Float64Array) => x.map((xi, i) => (i === 40 ? -3 : 3) * xi ** 2) };
    const x = Float64Array.from({ length: 90 }, (_, i) => Math.cos(i));
    for (const mode of ['elements', 'directions', 'auto'] as const) {
      const { report, message } = await failure(checkGradientFunction(wrong, x, { mode }));
      expect(report.worst).toMatchObject({ input: 'x', index: [40] });
      expect(message).toContain('for input x, element [40]');
    }
  });

  test('chooses directions beyond 64 elements', async () => {
    const count = async (length: number, options = {}) =>
      (await checkGradientFunction(cubes, new Float64Array(length).fill(0.5), options)).checked;
    expect(await count(64)).toBe(64);
    expect(await count(65)).toBe(4);
    expect(await count(65, { mode: 'elements' })).toBe(65);
    expect(await count(3, { mode: 'directions', directions: 7 })).toBe(7);
  });

  test('evaluates four times for each comparison, and leaves x alone', async () => {
    let calls = 0;
    const x = Float64Array.of(1, 2);
    const counted = {
      ...cubes,
      value: (x: Float64Array) => {
        calls++;
        return cubes.value(x);
      },
    };
    await checkGradientFunction(counted, x);
    expect(calls).toBe(8);
    expect([...x]).toEqual([1, 2]);
  });

  test('the error of its differences is far below the tolerance', async () => {
    const smooth = {
      value: (x: Float64Array) => x.reduce((sum, xi) => sum + Math.exp(xi) * Math.sin(3 * xi), 0),
      gradient: (x: Float64Array) => x.map((xi) => Math.exp(xi) * (Math.sin(3 * xi) + 3 * Math.cos(3 * xi))),
    };
    const { worst } = await checkGradientFunction(
      smooth,
      Float64Array.from({ length: 50 }, (_, i) => Math.sin(i)),
    );
    expect((worst?.error ?? 1) / (worst?.tolerance ?? 0)).toBeLessThan(0.05);
  });

  test('finds relative errors from one in a million', async () => {
    const off = (factor: number) => ({
      ...cubes,
      gradient: (x: Float64Array) => cubes.gradient(x).map((g) => g * factor),
    });
    await failure(checkGradientFunction(off(1 + 1e-6), Float64Array.of(0.5, -1, 2)));
  });

  test('throws for a gradient of another length', async () => {
    const short = { ...cubes, gradient: () => [1] };
    await expect(checkGradientFunction(short, Float64Array.of(1, 2))).rejects.toThrow('has 1 elements, but x has 2');
  });
});

test('a function that closes over tensors of a device is checked there', async () => {
  const device = await t.openDevice('wasm', { threads: 1 });
  const weights = await t.realize(t.tensor([1, 2, 3], { dtype: 'f64' }), { device });
  const { ok } = await checkGradients(
    (x: Tensor) => x.mul(weights).sin(),
    [t.tensor([0.1, 0.2, 0.3], { dtype: 'f64' })],
  );
  expect(ok).toBe(true);
});

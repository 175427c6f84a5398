import { grad } from 'diffusion-dpo/autograd';
import {
  accumulate,
  adafactor,
  adam,
  adamW,
  clipByGlobalNorm,
  clipByValue,
  emaDecay,
  emaStep,
  globalNorm,
  learningRateSchedule,
  lion,
  meanGradients,
  type Optimiser,
  type OptimiserState,
  sgd,
  withMasterWeights,
} from 'diffusion-dpo/nn';
import {
  item,
  key,
  openDevice,
  random,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { WasmDevice } from '../../tensor/wasm/device.ts';

setDefaultDevice(await openDevice('reference'));

const f64 = { dtype: 'f64' } as const;
type Numbers = readonly number[];

/** Five steps on a matrix of 2 × 3, with gradients that do not depend on the parameters and rates that change. */
const start: Numbers = [0.5, -1, 2, 0.1, -0.2, 0.3];
const slopes: readonly Numbers[] = [0, 1, 2, 3, 4].map((t) => start.map((_, i) => Math.sin(3 * t + 1.7 * i) + 0.1 * i));
const rates: Numbers = [0.1, 0.05, 0.2, 0.1, 0.01];

async function run<S extends OptimiserState<{ w: Tensor }>>(optimiser: Optimiser<{ w: Tensor }, S>): Promise<number[]> {
  const matrix = (values: Numbers) => ({ w: tensor(values, f64).reshape([2, 3]) });
  let state = optimiser.init(matrix(start));
  for (const [t, slope] of slopes.entries())
    state = optimiser.step(state, matrix(slope), { learningRate: rates[t] as number });
  expect(state.steps).toBe(5);
  return Array.from(await read(state.params.w));
}

/** The same with plain numbers: `step` changes the parameter i, given its gradient. */
function naive(
  step: (p: number, g: number, rate: number, t: number, memory: Record<string, number>) => number,
): number[] {
  return start.map((first, i) => {
    const memory: Record<string, number> = {};
    return slopes.reduce((p, slope, t) => step(p, slope[i] as number, rates[t] as number, t + 1, memory), first);
  });
}

const close = (actual: Numbers, expected: Numbers) => {
  expect(actual.length).toBe(expected.length);
  actual.forEach((x, i) => {
    expect(x).toBeCloseTo(expected[i] as number, 12);
  });
};

describe('steps agree with formulas on plain numbers', () => {
  test('sgd', async () =>
    close(
      await run(sgd()),
      naive((p, g, rate) => p - rate * g),
    ));
  test.each([false, true])('sgd with momentum and decay, nesterov %s', async (nesterov) => {
    const expected = naive((p, g, rate, _, memory) => {
      const slope = g + 0.1 * p;
      memory.v = 0.9 * (memory.v ?? 0) + slope;
      return p - rate * (nesterov ? slope + 0.9 * memory.v : memory.v);
    });
    close(await run(sgd({ momentum: 0.9, weightDecay: 0.1, nesterov })), expected);
  });
  const adamNaive = (decay: number, decoupled: boolean) =>
    naive((p, g, rate, t, memory) => {
      const slope = decoupled ? g : g + decay * p;
      memory.m = 0.8 * (memory.m ?? 0) + 0.2 * slope;
      memory.v = 0.95 * (memory.v ?? 0) + 0.05 * slope ** 2;
      const shrunk = decoupled ? p * (1 - rate * decay) : p;
      return shrunk - (rate * (memory.m / (1 - 0.8 ** t))) / (Math.sqrt(memory.v / (1 - 0.95 ** t)) + 1e-3);
    });
  const options = { betas: [0.8, 0.95], eps: 1e-3, weightDecay: 0.1 } as const;
  test('adam', async () => close(await run(adam(options)), adamNaive(0.1, false)));
  test('adamW', async () => close(await run(adamW(options)), adamNaive(0.1, true)));
  test('lion', async () => {
    const expected = naive((p, g, rate, _, memory) => {
      const direction = Math.sign(0.9 * (memory.m ?? 0) + 0.1 * g);
      memory.m = 0.99 * (memory.m ?? 0) + 0.01 * g;
      return p * (1 - rate * 0.1) - rate * direction;
    });
    close(await run(lion({ weightDecay: 0.1 })), expected);
  });

  const meanOf = (values: Numbers) => values.reduce((a, b) => a + b, 0) / values.length;
  const rms = (values: Numbers) => Math.sqrt(meanOf(values.map((x) => x * x)));
  test.each([
    { scaleParameter: false, relativeStep: false, weightDecay: 0.1 },
    { scaleParameter: true, relativeStep: true, warmupInit: true, beta1: 0.9 },
    { scaleParameter: true, relativeStep: false, clipThreshold: 0.5 },
  ])('adafactor %o', async (given) => {
    let p = [...start];
    let [rows, columns, mean]: [number[], number[], number[]] = [[0, 0], [0, 0, 0], start.map(() => 0)];
    slopes.forEach((g, index) => {
      const t = index + 1;
      const beta2 = 1 - t ** -0.8;
      const base = given.relativeStep ? Math.min(1e-6 * t, 1 / Math.sqrt(t)) : (rates[index] as number);
      const rate = base * (given.scaleParameter ? Math.max(1e-3, rms(p)) : 1);
      const square = (r: number, c: number) => (g[3 * r + c] as number) ** 2 + 1e-30;
      rows = rows.map((old, r) => beta2 * old + (1 - beta2) * meanOf([0, 1, 2].map((c) => square(r, c))));
      columns = columns.map((old, c) => beta2 * old + (1 - beta2) * meanOf([0, 1].map((r) => square(r, c))));
      let update = g.map((x, i) => {
        const [row, column] = [rows[Math.floor(i / 3)] as number, columns[i % 3] as number];
        return x / Math.sqrt((row / meanOf(rows)) * column);
      });
      const clip = Math.max(1, rms(update) / (given.clipThreshold ?? 1));
      update = update.map((x) => (rate * x) / clip);
      if (given.beta1 !== undefined) mean = mean.map((m, i) => 0.9 * m + 0.1 * (update[i] as number));
      const final = given.beta1 === undefined ? update : mean;
      p = p.map((x, i) => x * (1 - (given.weightDecay ?? 0) * rate) - (final[i] as number));
    });
    close(await run(adafactor(given)), p);
  });

  test('adafactor keeps vectors whole, and factors kernels over their last two axes', () => {
    const params = { bias: tensor([1, 2]), kernel: random.normal(key(0), [4, 5, 3, 2]) };
    const shapes = adafactor<typeof params>()
      .init(params)
      .squares.map((all) => all.map(({ shape }) => shape));
    expect(shapes).toEqual([
      [[2]],
      [
        [4, 5, 3],
        [4, 5, 2],
      ],
    ]);
  });
});

describe('halves', () => {
  const tiny = { w: tensor([1], { dtype: 'bf16' }) };
  const up = { w: tensor([-1], { dtype: 'bf16' }) };

  test('have moments in f32', () => expect(adamW<typeof tiny>().init(tiny).first.w.dtype).toBe('f32'));

  test('lose small updates, unless the optimiser keeps precise copies', async () => {
    // 0.001 is less than half of the distance between 1 and the next bf16, 1/128.
    const trained = async <S extends OptimiserState<typeof tiny>>(optimiser: Optimiser<typeof tiny, S>) => {
      let state = optimiser.init(tiny);
      for (let i = 0; i < 10; i++) state = optimiser.step(state, up, { learningRate: 1e-3 });
      expect(state.params.w.dtype).toBe('bf16');
      return item(state.params.w);
    };
    expect(await trained(sgd())).toBe(1);
    expect(await trained(withMasterWeights(sgd()))).toBe(1 + 1 / 128);
  });
});

describe('gradients', () => {
  const gradients = { a: tensor([3, 0], f64), b: [tensor([[4]], f64)] };

  test('clipped by their global norm', async () => {
    expect(await item(globalNorm(gradients))).toBe(5);
    const { gradients: clipped, norm } = clipByGlobalNorm(gradients, 1);
    expect(await item(norm)).toBe(5);
    expect((await read(clipped.a))[0]).toBeCloseTo(3 / 5.000001, 14);
    expect(await read(clipByGlobalNorm(gradients, 6).gradients.a)).toEqual(Float64Array.of(3, 0));
  });

  test('clipped by value', async () => expect(await read(clipByValue(gradients, 2).a)).toEqual(Float64Array.of(2, 0)));

  test('accumulated are those of the whole batch', async () => {
    const x = random.normal(key(1), [6, 3], f64);
    const loss = (w: Tensor, batch: Tensor) => batch.mul(w).tanh().mean();
    const w = tensor([0.1, 0.2, 0.3], f64);
    let sum: Tensor | undefined;
    for (let i = 0; i < 3; i++) sum = accumulate(sum, grad(loss)(w, x.sliceAxis(0, 2 * i, 2 * i + 2)));
    const whole = grad(loss)(w, x);
    expect(
      await item(
        meanGradients(sum as Tensor, 3)
          .sub(whole)
          .abs()
          .max(),
      ),
    ).toBeLessThan(1e-16);
  });
});

describe('learning rates', () => {
  const at = (schedule: (step: number) => number, ...steps: number[]) => steps.map(schedule);

  test('warm up', () => {
    expect(at(learningRateSchedule('constant'), 0, 5)).toEqual([1, 1]);
    expect(at(learningRateSchedule('constant_with_warmup', { warmupSteps: 4 }), 0, 1, 4, 9)).toEqual([0, 0.25, 1, 1]);
  });

  test('fall', () => {
    const options = { warmupSteps: 2, totalSteps: 12 };
    expect(at(learningRateSchedule('linear', options), 1, 2, 7, 12, 20)).toEqual([0.5, 1, 0.5, 0, 0]);
    const cosine = at(learningRateSchedule('cosine', options), 2, 7, 12);
    close(cosine, [1, 0.5, 0]);
    const restarts = at(learningRateSchedule('cosine_with_restarts', { ...options, cycles: 2 }), 2, 4.5, 7, 9.5, 12);
    close(restarts, [1, 0.5, 1, 0.5, 0]);
    const polynomial = learningRateSchedule('polynomial', { ...options, power: 2, endFactor: 0.1 });
    close(at(polynomial, 2, 7, 12, 20), [1, 0.9 * 0.25 + 0.1, 0.1, 0.1]);
  });

  test('need what they need', () => {
    expect(() => learningRateSchedule('linear')(3)).toThrow("learningRateSchedule: 'linear' needs totalSteps");
    expect(() => learningRateSchedule('step' as 'linear')).toThrow("'step' is not known; there are: constant");
  });
});

test('averages decay as the steps grow', async () => {
  expect([1, 2, 3, 1e9].map((step) => emaDecay(step))).toEqual([0, 2 / 11, 3 / 12, 0.9999]);
  expect(emaDecay(3, { warmup: { power: 1 } })).toBeCloseTo(1 - 1 / 3, 14);
  const average = emaStep({ w: tensor([1], f64) }, { w: tensor([2], f64) }, 2);
  expect(await item(average.w)).toBeCloseTo(2 - 2 / 11, 14);
});

test('steps with changing rates compile once, and hold memory flat where states are donated', async () => {
  const device = await WasmDevice.open({ threads: 1 });
  const optimiser = adamW<{ w: Tensor; b: Tensor }>();
  const x = await realize(random.normal(key(2), [16, 8]), { device });
  const params = await realize({ w: random.normal(key(3), [8, 4]), b: random.normal(key(4), [4]) }, { device });
  const loss = ({ w, b }: typeof params) => x.matmul(w).add(b).square().mean();
  const warmup = learningRateSchedule('constant_with_warmup', { warmupSteps: 150 });
  let state = await realize(optimiser.init(params), { device });
  let [plans, bytes] = [0, 0];
  for (let i = 0; i < 200; i++) {
    const { gradients } = clipByGlobalNorm(grad(loss)(state.params), 1);
    state = await realize(optimiser.step(state, gradients, { learningRate: 1e-2 * warmup(i) }), { donate: state });
    if (i === 1) [plans, bytes] = [device.plansCompiled, device.memory().bytes];
  }
  expect(device.plansCompiled).toBe(plans);
  expect(device.memory().bytes).toBe(bytes);
});

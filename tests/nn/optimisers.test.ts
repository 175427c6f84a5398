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
  leafNorms,
  learningRateSchedule,
  lion,
  meanGradients,
  type Optimiser,
  type OptimiserState,
  preciseParameters,
  sgd,
  withMasterWeights,
} from 'diffusion-dpo/nn';
import {
  flattenTree,
  item,
  key,
  ones,
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
    { scaleParameter: true, relativeStep: false, clipThreshold: 0.5, weightDecay: 0.1 },
  ])('adafactor %o', async (given) => {
    let p = [...start];
    let [rows, columns, mean]: [number[], number[], number[]] = [[0, 0], [0, 0, 0], start.map(() => 0)];
    slopes.forEach((g, index) => {
      const t = index + 1;
      const beta2 = 1 - t ** -0.8;
      const base = (given.relativeStep ? Math.min(1e-6 * t, 1 / Math.sqrt(t)) : 1) * (rates[index] as number);
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
    const params = { bias: tensor([1, 2]), conv: { weight: random.normal(key(0), [4, 5, 3, 2]) } };
    const { squares } = adafactor<typeof params>().init(params);
    expect(flattenTree(squares).map(({ path, tensor: { shape } }) => `${path} ${shape.join('×')}`)).toEqual([
      'bias.whole 2',
      'conv.weight.rows 4×5×3',
      'conv.weight.columns 4×5×2',
    ]);
  });

  test('adafactor steps vectors as Adam without a first moment would', async () => {
    const optimiser = adafactor<Tensor>({ clipThreshold: 1e9 });
    let [state, v, p] = [optimiser.init(tensor([1, -2], f64)), [0, 0], [1, -2]];
    [
      [0.5, 3],
      [-1, 2],
      [4, 0.1],
    ].forEach((g, index) => {
      state = optimiser.step(state, tensor(g, f64), { learningRate: 0.1 });
      const beta2 = 1 - (index + 1) ** -0.8;
      v = v.map((old, i) => beta2 * old + (1 - beta2) * (g[i] as number) ** 2);
      p = p.map((x, i) => x - (0.1 * (g[i] as number)) / Math.sqrt(v[i] as number));
    });
    close(Array.from(await read(state.params)), p);
  });

  test('gradients of another tree are refused', () => {
    const state = { w: tensor([1]) };
    for (const optimiser of [sgd(), adamW(), adafactor(), lion()] as const)
      expect(() => optimiser.step(optimiser.init(state) as never, { v: tensor([1]) }, { learningRate: 1 })).toThrow(
        "zipTrees: the trees differ: the first has 'w' where another has 'v'",
      );
  });
});

describe('first steps by hand', () => {
  const first = async (optimiser: Optimiser<Tensor, OptimiserState<Tensor>>, p: Numbers, g: Numbers, rate: number) => {
    const shape = p.length === 4 ? [2, 2] : [p.length];
    const [params, slope] = [tensor(p, f64).reshape(shape), tensor(g, f64).reshape(shape)];
    return Array.from(await read(optimiser.step(optimiser.init(params), slope, { learningRate: rate }).params));
  };

  test('sgd', async () => {
    close(await first(sgd({ weightDecay: 0.1 }), [1], [0.5], 0.1), [1 - 0.1 * (0.5 + 0.1)]);
    // v = g, and Nesterov goes on by μ·v.
    close(await first(sgd({ momentum: 0.9, nesterov: true }), [1], [0.5], 0.1), [1 - 0.1 * (0.5 + 0.45)]);
  });

  // Corrected for their bias, the first moments are g and g²: so the step is g/(|g| + ε), with ε outside the root. The
  // parameter shrinks by 1 − 0.1·0.01 before, to 0.999; in Adam, decay is part of g instead, 0.5 + 0.01.
  test('adam and adamW', async () => {
    close(await first(adamW({ eps: 0.5 }), [1], [0.5], 0.1), [0.999 - 0.1 * 0.5]);
    close(await first(adamW({ eps: 0 }), [1, 1], [0.5, -2], 0.1), [0.999 - 0.1, 0.999 + 0.1]);
    close(await first(adam({ eps: 0.49, weightDecay: 0.01 }), [1], [0.5], 0.1), [1 - 0.1 * 0.51]);
  });

  test('lion', async () => {
    close(await first(lion({ weightDecay: 0.1 }), [1, 1, 1], [0.5, -3, 0], 0.1), [0.99 - 0.1, 0.99 + 0.1, 0.99]);
  });

  // g² has the row means 2.5 and 12.5, whose mean is 7.5, and the column means 5 and 10. So the squares of the updates are
  // 1/(2.5·5/7.5) = 0.6, 4/(2.5·10/7.5) = 1.2, 9/(12.5·5/7.5) = 1.08 and 16/(12.5·10/7.5) = 0.96; their mean is 0.96.
  test('adafactor', async () => {
    const updates = [0.6, 1.2, 1.08, 0.96].map(Math.sqrt);
    const from = [1, 1, 1, 1];
    close(
      await first(adafactor(), from, [1, 2, 3, 4], 0.1),
      updates.map((u) => 1 - 0.1 * u),
    );
    // Of a vector the first update is the sign: its own rate is at most 0.01, and the scale of nothing 0.001.
    close(await first(adafactor({ relativeStep: true }), [1, 1], [4, -3], 0.5), [1 - 0.005, 1 + 0.005]);
    close(await first(adafactor({ scaleParameter: true }), [0, 0], [4, -3], 0.1), [-1e-4, 1e-4]);
    const clipped = await first(adafactor({ clipThreshold: 0.5 }), from, [1, 2, 3, 4], 0.1);
    close(
      clipped,
      updates.map((u) => 1 - (0.1 * 0.5 * u) / Math.sqrt(0.96)),
    );
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
    const norms = leafNorms(gradients);
    expect([await item(norms.a), await item(norms.b[0] as Tensor)]).toEqual([3, 4]);
    expect(await item(globalNorm({ ...gradients, c: tensor([12]) }))).toBe(13);
    expect(await item(globalNorm({}))).toBe(0);
    const { gradients: clipped, norm } = clipByGlobalNorm(gradients, 1);
    expect(await item(norm)).toBe(5);
    expect((await read(clipped.a))[0]).toBeCloseTo(3 / 5.000001, 14);
    expect(await read(clipByGlobalNorm(gradients, 6).gradients.a)).toEqual(Float64Array.of(3, 0));
  });

  test('of halves are not rounded again when they are clipped', async () => {
    const half = { w: tensor([3, 4], { dtype: 'bf16' }) };
    expect([...(await read(clipByGlobalNorm(half, 1).gradients.w))].map((x) => Math.round(x * 1e5))).toEqual([
      60000, 80000,
    ]);
  });

  test('clipped by value', async () =>
    expect(await read(clipByValue(tensor([3, -3, 1], f64), 2))).toEqual(Float64Array.of(2, -2, 1)));

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
    expect(at(learningRateSchedule('constant', { warmupSteps: 4 }), 0, 5)).toEqual([1, 1]);
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
    expect(() => learningRateSchedule('linear', { warmupSteps: 100 })).toThrow(
      "learningRateSchedule: 'linear' needs totalSteps",
    );
    expect(() => learningRateSchedule('step' as 'linear')).toThrow("'step' is not known; there are: constant");
  });
});

describe('averages of halves', () => {
  test.each(['f32', 'bf16', 'f16'] as const)('do not stall where they begin in %s', async (dtype) => {
    let average = { w: tensor([1], { dtype }) };
    for (let step = 20_001; step <= 23_000; step++) {
      average = emaStep(average, { w: tensor([1.05]) }, step, { decay: 0.999 });
      if (step % 100 === 0) average = await realize(average);
    }
    expect(await item(average.w)).toBeCloseTo(1.05 - 0.05 * 0.999 ** 3000, 4);
  });

  test('take the precise copies of an optimiser that keeps them', async () => {
    const halves = { w: tensor([1], { dtype: 'bf16' }) };
    const optimiser = withMasterWeights(sgd<typeof halves>());
    const { params, ...state } = optimiser.step(optimiser.init(halves), { w: tensor([-0.001]) }, { learningRate: 1 });
    expect(await item(params.w)).toBe(1);
    expect(await item(preciseParameters({ params, ...state }).w)).toBeCloseTo(1.001, 6);
    const plain = sgd<typeof halves>().init(halves);
    expect(preciseParameters(plain)).toBe(plain.params);
  });
});

test('averages decay as the steps grow', async () => {
  expect([1, 2, 3, 1e9].map((step) => emaDecay(step))).toEqual([0, 2 / 11, 3 / 12, 0.9999]);
  expect([5, 6, 7].map((step) => emaDecay(step, { updateAfterStep: 5, minDecay: 0.1 }))).toEqual([0, 0, 2 / 11]);
  expect(emaDecay(3, { decay: 0.2 })).toBe(0.2);
  expect(emaDecay(2, { minDecay: 0.5 })).toBe(0.5);
  expect(emaDecay(3, { warmup: { power: 1 } })).toBeCloseTo(1 - 1 / 3, 14);
  expect(emaDecay(9, { warmup: { invGamma: 2 } })).toBeCloseTo(1 - 5 ** (-2 / 3), 14);
  const average = emaStep({ w: tensor([1], f64) }, { w: tensor([2]) }, 2);
  expect(await item(average.w)).toBeCloseTo(2 - 2 / 11, 14);
});

// A warm-up from rate 0: numbers that are 0 or 1 at times must not change what is compiled.
test('1,000 steps of a warm-up compile one plan, and hold memory flat where states are donated', async () => {
  const device = await WasmDevice.open({ threads: 1 });
  const optimiser = adamW<{ w: Tensor; b: Tensor }>();
  const x = await realize(random.normal(key(2), [16, 8]), { device });
  const params = await realize({ w: random.normal(key(3), [8, 4]), b: random.normal(key(4), [4]) }, { device });
  const loss = ({ w, b }: typeof params) => x.matmul(w).add(b).square().mean();
  const warmup = learningRateSchedule('constant_with_warmup', { warmupSteps: 900 });
  let state = await realize(optimiser.init(params), { device });
  const before = device.plansCompiled;
  let bytes = 0;
  for (let i = 0; i < 1000; i++) {
    const { gradients } = clipByGlobalNorm(grad(loss)(state.params), 1);
    state = await realize(optimiser.step(state, gradients, { learningRate: 1e-2 * warmup(i) }), { donate: state });
    if (i === 0) bytes = device.memory().bytes;
  }
  expect(device.plansCompiled).toBe(before + 1);
  expect(device.memory().bytes).toBe(bytes);
});

test.each([
  ['sgd', sgd<Tensor>({ momentum: 0.9 })],
  ['lion', lion<Tensor>({ weightDecay: 0.1 })],
  ['adafactor', adafactor<Tensor>({ beta1: 0.9, weightDecay: 0.1 })],
  ['adafactor with its own rate', adafactor<Tensor>({ relativeStep: true, warmupInit: true, scaleParameter: true })],
  ['adamW with precise copies', withMasterWeights(adamW<Tensor>())],
] as readonly (readonly [string, Optimiser<Tensor, OptimiserState<Tensor>>])[])(
  'steps of %s share one plan and hold memory flat',
  async (_, optimiser) => {
    const device = await WasmDevice.open({ threads: 1 });
    const [params, slope] = await realize([ones([4, 3], { dtype: 'bf16' }), ones([4, 3], { dtype: 'bf16' })], {
      device,
    });
    let state = await realize(optimiser.init(params), { device });
    const before = device.plansCompiled;
    let bytes = 0;
    for (let i = 0; i < 10; i++) {
      state = await realize(optimiser.step(state, slope, { learningRate: i / 100 }), { donate: state });
      if (i === 0) bytes = device.memory().bytes;
    }
    expect([device.plansCompiled, device.memory().bytes]).toEqual([before + 1, bytes]);
  },
);

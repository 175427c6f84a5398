import {
  addNoise,
  betaSchedules,
  flowSchedule,
  minSnrWeights,
  modelTimesteps,
  noiseSchedule,
  predictionTarget,
  predictionTypes,
  signalToNoise,
  toNoise,
  toOriginal,
} from 'diffusion-dpo/diffusion';
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

setDefaultDevice(await openDevice('reference'));

const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());

describe('schedules', () => {
  test.each([
    ['linear', [0.1, 0.2, 0.3]],
    // Halfway between the roots, squared.
    ['scaled_linear', [0.1, ((Math.sqrt(0.1) + Math.sqrt(0.3)) / 2) ** 2, 0.3]],
    ['sigmoid', [0.1 + 0.2 / (1 + Math.exp(6)), 0.2, 0.1 + 0.2 / (1 + Math.exp(-6))]],
  ] as const)('%s, by hand', (betaSchedule, betas) => {
    const schedule = noiseSchedule({ numTrainTimesteps: 3, betaSchedule, betaStart: 0.1, betaEnd: 0.3 });
    for (const [i, beta] of betas.entries()) expect(schedule.betas[i]).toBeCloseTo(beta, 14);
    expect(schedule.alphasCumprod[2]).toBeCloseTo((1 - betas[0]) * (1 - betas[1]) * (1 - betas[2]), 14);
  });

  test('squaredcos_cap_v2 follows the cosine, and keeps betas below 1', () => {
    const { betas, alphasCumprod } = noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' });
    const alphaBar = (s: number) => Math.cos((((s + 0.008) / 1.008) * Math.PI) / 2) ** 2;
    expect(alphasCumprod[499]).toBeCloseTo(alphaBar(0.5) / alphaBar(0), 12);
    expect(betas[999]).toBe(0.999);
  });

  test.each(betaSchedules)('%s begins as it did and ends without signal where this is asked for', (betaSchedule) => {
    const [plain, rescaled] = [false, true].map((rescaleBetasZeroSnr) =>
      noiseSchedule({ betaSchedule, rescaleBetasZeroSnr }),
    );
    expect(rescaled?.alphasCumprod[0]).toBeCloseTo(plain?.alphasCumprod[0] as number, 14);
    expect(rescaled?.alphasCumprod[999]).toBe(0);
    expect(signalToNoise(rescaled as NonNullable<typeof rescaled>)[999]).toBe(0);
  });

  test.each([
    ['one time step', { numTrainTimesteps: 1 }],
    ['no noise at all', { numTrainTimesteps: 5, betaStart: 0, betaEnd: 0 }],
    ['no noise after the first step', { numTrainTimesteps: 3, trainedBetas: [0.1, 0, 0] }],
    ['no signal from the first step on', { numTrainTimesteps: 2, trainedBetas: [1, 0.5] }],
  ])('of %s cannot be rescaled to end without signal', (_, options) => {
    expect(() => noiseSchedule({ ...options, rescaleBetasZeroSnr: true })).toThrow(
      /rescale_betas_zero_snr\) needs a signal that falls, but √ᾱ is .* at the first and .* at the last/,
    );
  });

  test('that end with equal steps are rescaled to as many without signal', () => {
    const { betas, alphasCumprod } = noiseSchedule({
      numTrainTimesteps: 4,
      trainedBetas: [0.1, 0.2, 0, 0],
      rescaleBetasZeroSnr: true,
    });
    expect(Array.from(alphasCumprod)).toEqual([expect.closeTo(0.9, 14), 0, 0, 0]);
    expect(Array.from(betas)).toEqual([expect.closeTo(0.1, 14), 1, 0, 0]);
  });

  test('that are none are refused', () => {
    expect(() => noiseSchedule({ betaSchedule: 'cubic' as 'linear' })).toThrow(
      "the beta schedule 'cubic' is not known",
    );
    expect(() => noiseSchedule({ trainedBetas: [0.1] })).toThrow('there are 1 betas for 1000 time steps');
    expect(() => noiseSchedule({ numTrainTimesteps: 1, trainedBetas: [1.5] })).toThrow('beta 0 is 1.5');
    expect(() => noiseSchedule({ numTrainTimesteps: 0 })).toThrow('must be a whole number from 1, got 0');
  });
});

describe('flows', () => {
  test('go along straight lines, shifted or not, by hand', () => {
    const plain = flowSchedule({ numTrainTimesteps: 4 });
    expect(Array.from(plain.noise)).toEqual([0.25, 0.5, 0.75, 1]);
    expect(Array.from(plain.signal)).toEqual([0.75, 0.5, 0.25, 0]);
    expect(Array.from(plain.modelTimesteps ?? [])).toEqual([1, 2, 3, 4]);
    // 3σ/(1 + 2σ)
    const shifted = flowSchedule({ numTrainTimesteps: 4, shift: 3 });
    expect(Array.from(shifted.noise)).toEqual([0.5, 0.75, 0.9, 1].map((sigma) => expect.closeTo(sigma, 14)));
    expect(signalToNoise(plain)[1]).toBeCloseTo(1, 14);
    expect(signalToNoise(plain)[3]).toBe(0);
    // 1 − β is the ratio of neighbours: ᾱ = 0.9, 0.5, 0.1, 0.
    expect(Array.from(plain.betas)).toEqual([0.1, 4 / 9, 0.8, 1].map((beta) => expect.closeTo(beta, 14)));
  });

  test('that are none are refused', () => {
    expect(() => flowSchedule({ shift: 0 })).toThrow('flowSchedule: shift must be a positive number, got 0');
    expect(() => flowSchedule({ numTrainTimesteps: 1.5 })).toThrow('must be a whole number from 1, got 1.5');
  });

  test('have networks predict ε − x_0, which tells image and noise, at T·σ', async () => {
    const schedule = flowSchedule({ numTrainTimesteps: 50, shift: 2 });
    const [x, noise] = await realize([0, 1].map((seed) => random.normal(key(seed), [2, 3], { dtype: 'f64' })));
    if (x === undefined || noise === undefined) throw new Error('there are two');
    const timesteps = [3, 49];
    const noisy = addNoise(schedule, x, noise, timesteps);
    const target = predictionTarget('flow_prediction', schedule, x, noise, timesteps);
    expect(await distance(target, noise.sub(x))).toBe(0);
    for (const [row, t] of timesteps.entries()) {
      const [signal, sigma] = [schedule.signal[t] as number, schedule.noise[t] as number];
      const of = (all: Tensor) => all.sliceAxis(0, row, row + 1);
      const scales = { signal, noise: sigma };
      expect(await distance(of(noisy), of(x).mul(signal).add(of(noise).mul(sigma)))).toBeLessThan(1e-15);
      expect(await distance(toOriginal('flow_prediction', of(noisy), of(target), scales), of(x))).toBeLessThan(1e-14);
      expect(await distance(toNoise('flow_prediction', of(noisy), of(target), scales), of(noise))).toBeLessThan(1e-14);
    }
    const seen = modelTimesteps(schedule, tensor(timesteps, { dtype: 'i32' })) as Tensor;
    expect(Array.from(await read(seen))).toEqual([3, 49].map((t) => Math.fround(50 * (schedule.noise[t] as number))));
    expect(modelTimesteps(noiseSchedule(), timesteps)).toBe(timesteps);
  });
});

test('min-SNR weights, by hand', () => {
  // ᾱ = 0.9, 0.1 and 0: signal to noise 9, 1/9 and 0.
  const schedule = noiseSchedule({ numTrainTimesteps: 3, trainedBetas: [0.1, 8 / 9, 1] });
  const weights = (prediction: (typeof predictionTypes)[number]) => Array.from(minSnrWeights(schedule, 5, prediction));
  const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 12));
  expect(weights('epsilon')).toEqual(close([5 / 9, 1, 1]));
  expect(weights('v_prediction')).toEqual(close([5 / 10, 1 / 9 / (1 + 1 / 9), 0]));
  expect(weights('sample')).toEqual(close([5, 1 / 9, 0]));
});

test('min-SNR weights of a flow, by hand', () => {
  // σ = 1/4, 1/2, 3/4 and 1: signal to noise 9, 1, 1/9 and 0; times σ².
  const weights = minSnrWeights(flowSchedule({ numTrainTimesteps: 4 }), 5, 'flow_prediction');
  expect(Array.from(weights)).toEqual([5 / 16, 1 / 4, 1 / 16, 0].map((value) => expect.closeTo(value, 12)));
});

describe('noising', () => {
  const schedule = noiseSchedule({ betaSchedule: 'scaled_linear' });
  const normal = (seed: number) => random.normal(key(seed), [2, 3, 2], { dtype: 'f64' });
  const timesteps = [3, 998];

  test('is √ᾱ·x + √(1 − ᾱ)·ε, with time steps as numbers or on a device', async () => {
    const [x, noise] = await realize([normal(0), normal(1)] as const);
    const noisy = addNoise(schedule, x, noise, timesteps);
    const [original, drawn, mixed] = [await read(x), await read(noise), await read(noisy)];
    for (const [i, value] of Array.from(mixed).entries()) {
      const bar = schedule.alphasCumprod[timesteps[i < 6 ? 0 : 1] as number] as number;
      const expected = Math.sqrt(bar) * (original[i] as number) + Math.sqrt(1 - bar) * (drawn[i] as number);
      expect(value).toBeCloseTo(expected, 14);
    }
    expect(await distance(addNoise(schedule, x, noise, tensor(timesteps, { dtype: 'i32' })), noisy)).toBe(0);
    expect(() => addNoise(schedule, x, noise, [3])).toThrow('there are 1 time steps for');
    expect(() => addNoise(schedule, x, noise, [3, 1000])).toThrow('time step 1000 is not one of the schedule');
  });

  test.each(predictionTypes)('what is to be predicted as %s tells image and noise', async (prediction) => {
    const [x, noise] = [normal(0), normal(1)];
    const target = predictionTarget(prediction, schedule, x, noise, timesteps);
    const noisy = addNoise(schedule, x, noise, timesteps);
    for (const [i, t] of timesteps.entries()) {
      const bar = schedule.alphasCumprod[t] as number;
      const scales = { signal: Math.sqrt(bar), noise: Math.sqrt(1 - bar) };
      const row = (all: Tensor) => all.sliceAxis(0, i, i + 1);
      expect(await distance(toOriginal(prediction, row(noisy), row(target), scales), row(x))).toBeLessThan(1e-12);
      expect(await distance(toNoise(prediction, row(noisy), row(target), scales), row(noise))).toBeLessThan(1e-12);
    }
  });
});

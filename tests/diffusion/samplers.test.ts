import {
  ddim,
  ddpm,
  dpmSolverMultistep,
  euler,
  eulerAncestral,
  flowMatchEuler,
  guide,
  imageKeys,
  noiseSchedule,
  pndm,
  type Sampler,
  sample,
  samplerFromConfig,
} from 'diffusion-dpo/diffusion';
import {
  item,
  key,
  ones,
  openDevice,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { publishedSchedulers } from './publishedConfigs.ts';

setDefaultDevice(await openDevice('reference'));

/** The mean and the standard deviation of data. */
interface Gaussian {
  readonly m: number;
  readonly s: number;
}

/** Data from N(m, s²), for which the noise in x_t is known: ε(x, t) = b·(x − a·m)/(a²s² + b²). */
const gaussianNoise = ({ m, s }: Gaussian, x: Tensor, a: number, b: number): Tensor =>
  x.sub(a * m).mul(b / (a ** 2 * s ** 2 + b ** 2));
const usual: Gaussian = { m: 0.3, s: 0.5 };

/**
 * The mean and variance of what a sampler makes of unit noise with an affine model. Every step is affine then, so the
 * result is A·x_T + B + Σ c_i·n_i: one batch with one source of noise in each row tells all factors.
 */
async function moments(
  sampler: Sampler,
  steps: number,
  model: (x: Tensor, timestep: number, index: number) => Tensor,
  { m, s }: Gaussian = usual,
): Promise<{ readonly mean: number; readonly variance: number }> {
  const trajectory = sampler(steps);
  const count = trajectory.timesteps.length;
  const unit = (row: number) =>
    tensor(
      Array.from({ length: count + 2 }, (_, i) => [i === row ? 1 : 0]),
      { dtype: 'f64' },
    );
  // From the marginal of the first time step: samplers begin with N(0, 1) instead, which is not quite that.
  const { signal, noise } = trajectory.noiseScalesAt(0);
  const first = unit(1)
    .mul(Math.hypot(signal * s, noise))
    .add(signal * m);
  let state = await realize({ ...trajectory.start(first), sample: first });
  for (const [i, t] of trajectory.timesteps.entries()) {
    const output = model(trajectory.modelInput(state), t, i);
    state = await realize(trajectory.step(state, output, unit(i + 2)));
  }
  const [offset = 0, ...others] = await read(state.sample);
  return { mean: offset, variance: others.reduce((sum, x) => sum + (x - offset) ** 2, 0) };
}

describe('with the exact noise predictor of a Gaussian, the marginal is that Gaussian', () => {
  const config = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', clip_sample: false };
  const { alphasCumprod } = noiseSchedule({ betaSchedule: 'scaled_linear', betaStart: 0.00085, betaEnd: 0.012 });
  /** ᾱ between time steps, for samplers that ask there. */
  const barAt = (t: number) => {
    const below = Math.min(Math.max(Math.floor(t), 0), 998);
    const log = (i: number) => Math.log(alphasCumprod[i] as number);
    return Math.exp(log(below) + (log(below + 1) - log(below)) * (t - below));
  };
  const errorOf = async (sampler: Sampler, steps: number, data = usual) => {
    const model = (x: Tensor, t: number) => gaussianNoise(data, x, Math.sqrt(barAt(t)), Math.sqrt(1 - barAt(t)));
    const { mean, variance } = await moments(sampler, steps, model, data);
    return Math.abs(mean - data.m) + Math.abs(Math.sqrt(variance) - data.s);
  };
  const trailing = { ...config, timestep_spacing: 'trailing' };
  const spread = { ...config, timestep_spacing: 'linspace' };

  // What is left is mostly the last step, which takes the mean of all images that the remaining noise may hide.
  test.each([
    ['DDPM', ddpm({ ...config, variance_type: 'fixed_small' }), 1000, 0.02],
    ['DDIM', ddim(trailing), 100, 0.02],
    ['DDIM, η = 1', ddim(trailing, { eta: 1 }), 200, 0.02],
    ['Euler', euler(spread), 100, 0.02],
    ['Euler with churn', euler(spread, { churn: 20 }), 400, 0.02],
    ['Euler with Karras sigmas', euler({ ...spread, use_karras_sigmas: true }), 100, 0.02],
    ['Euler ancestral', eulerAncestral(spread), 400, 0.02],
    ['DPM-Solver++ 2M', dpmSolverMultistep(spread), 200, 0.01],
    ['DPM-Solver++ 2M Karras', dpmSolverMultistep({ ...spread, use_karras_sigmas: true }), 50, 0.01],
    ['DPM-Solver++ 3M', dpmSolverMultistep({ ...spread, solver_order: 3 }), 200, 0.01],
    ['DPM-Solver++ 2M, Heun', dpmSolverMultistep({ ...spread, solver_type: 'heun' }), 200, 0.01],
    ['SDE-DPM-Solver++ 2M', dpmSolverMultistep({ ...spread, algorithm_type: 'sde-dpmsolver++' }), 100, 0.01],
    [
      'DPM-Solver 2M',
      dpmSolverMultistep({ ...spread, algorithm_type: 'dpmsolver', final_sigmas_type: 'sigma_min' }),
      50,
      0.02,
    ],
    [
      'DPM-Solver 3M',
      dpmSolverMultistep({ ...spread, algorithm_type: 'dpmsolver', final_sigmas_type: 'sigma_min', solver_order: 3 }),
      50,
      0.02,
    ],
    [
      'SDE-DPM-Solver 2M',
      dpmSolverMultistep({ ...spread, algorithm_type: 'sde-dpmsolver', final_sigmas_type: 'sigma_min' }),
      100,
      0.02,
    ],
    ['PNDM', pndm({ ...trailing, skip_prk_steps: true }), 50, 0.02],
    ['PNDM with Runge–Kutta steps', pndm(trailing), 50, 0.02],
  ] as const)('%s', async (_, sampler, steps, bound) => {
    expect(await errorOf(sampler, steps)).toBeLessThan(bound);
  });

  test.each([
    ['DDPM', ddpm({ ...trailing, variance_type: 'fixed_small' }), 250],
    ['DDIM', ddim(trailing), 100],
    ['DDIM, η = 1', ddim(trailing, { eta: 1 }), 250],
    ['Euler', euler(spread), 100],
    ['Euler ancestral', eulerAncestral(spread), 250],
    ['DPM-Solver++ 2M', dpmSolverMultistep(spread), 100],
    ['PNDM', pndm({ ...trailing, skip_prk_steps: true }), 100],
  ] as const)('%s: for data of any mean and spread', async (_, sampler, steps) => {
    const gaussians = fc.record({
      m: fc.double({ min: -1, max: 1, noNaN: true }),
      s: fc.double({ min: 0.3, max: 1.2, noNaN: true }),
    });
    const holds = fc.asyncProperty(gaussians, async (data) => {
      expect(await errorOf(sampler, steps, data)).toBeLessThan(0.03);
    });
    await fc.assert(holds, { numRuns: 6, seed: 5 });
  });

  test('methods of first order are twice as good with twice the steps, those of second order better', async () => {
    // Far from the ends, where nothing but the step counts.
    const ratio = async (sampler: Sampler) => (await errorOf(sampler, 80)) / (await errorOf(sampler, 20));
    expect(await ratio(ddim(trailing))).toBeLessThan(0.4);
    expect(await ratio(euler(spread))).toBeLessThan(0.4);
    expect(await ratio(dpmSolverMultistep(spread))).toBeLessThan(0.25);
  });
});

/**
 * A base N(m, s²) and the reward g·x: the loss of Diffusion-DPO is least at ε_ref + δ_t with
 * δ_t = −g·v_t/(2β·W_t·a_t·b_t), and the wanted shift of the mean is s²·g/β = 0.375.
 */
describe('the known optimum of Diffusion-DPO shifts the mean as computed by hand', () => {
  const [g, beta] = [3, 2];
  const { s } = usual;
  const weights = {
    elbo: (T: number, b2: number, betaT: number) => (T * betaT) / (2 * (1 - betaT) * b2),
    scoreConsistent: (_T: number, b2: number) => ((1 - b2) * s ** 2 + b2) ** 2 / (2 * s ** 2 * (1 - b2) * b2),
  };
  test.each([
    ['elbo', 1000, 0.3755, 2.07],
    ['scoreConsistent', 1000, 0.375, 0.375],
    ['elbo', 50, 0.3856, 1.33],
    ['scoreConsistent', 50, 0.375, 0.3748],
  ] as const)('%s weights, T = %i', async (weight, T, withDdpm, withDdim) => {
    const { alphasCumprod, betas } = noiseSchedule({ numTrainTimesteps: T, betaSchedule: 'squaredcos_cap_v2' });
    const model = (tilt: boolean) => (x: Tensor, t: number) => {
      const bar = alphasCumprod[t] as number;
      const [a, b, v] = [Math.sqrt(bar), Math.sqrt(1 - bar), bar * s ** 2 + 1 - bar];
      const reference = gaussianNoise(usual, x, a, b);
      // The weights are those of summed errors with T folded in for the ELBO alone.
      return tilt
        ? reference.sub((g * v) / (2 * beta * weights[weight](T, 1 - bar, betas[t] as number) * a * b))
        : reference;
    };
    const config = { num_train_timesteps: T, beta_schedule: 'squaredcos_cap_v2', clip_sample: false };
    const shift = async (sampler: Sampler) =>
      (await moments(sampler, T, model(true))).mean - (await moments(sampler, T, model(false))).mean;
    expect(await shift(ddpm(config))).toBeCloseTo(withDdpm, 3);
    expect(Math.abs((await shift(ddim(config))) / withDdim - 1)).toBeLessThan(0.005);
  });
});

describe('flows', () => {
  const T = 1000;
  /** The velocity ε − x_0 that a Gaussian's noise predictor means: ε = x + (1 − σ)·v. */
  const velocity = (epsilon: Tensor, x: Tensor, sigma: number) => epsilon.sub(x).div(1 - sigma);
  /** E[ε − x_0 | x], where nothing is left of the image −m + x. */
  const exact = (data: Gaussian) => (x: Tensor, told: number) => {
    const sigma = told / T;
    return sigma === 1 ? x.sub(data.m) : velocity(gaussianNoise(data, x, 1 - sigma, sigma), x, sigma);
  };
  const errorOf = async (sampler: Sampler, steps: number, data = usual) => {
    const { mean, variance } = await moments(sampler, steps, exact(data), data);
    return Math.abs(mean - data.m) + Math.abs(Math.sqrt(variance) - data.s);
  };

  test.each([
    ['evenly spread', flowMatchEuler(), 200],
    ['shifted', flowMatchEuler({ shift: 3 }), 400],
  ] as const)('with the exact velocity of a Gaussian end at it: %s', async (_, sampler, steps) => {
    expect(await errorOf(sampler, steps)).toBeLessThan(0.02);
  });

  test('may make each step from the predicted image and fresh noise', async () => {
    const unit = (value: number) => tensor([[value]], { dtype: 'f64' });
    const trajectory = flowMatchEuler({ stochastic_sampling: true, num_train_timesteps: 4 })(3);
    expect([0, 1, 2].map(trajectory.drawsNoise)).toEqual([true, true, true]);
    // σ goes from 1 to 0.625: x_0 = 2 − 1·0.5, and then 0.375·x_0 + 0.625·n.
    const { sample, original } = trajectory.step(trajectory.start(unit(2)), unit(0.5), unit(-1));
    expect(await item(original as Tensor)).toBe(1.5);
    expect(await item(sample)).toBeCloseTo(0.375 * 1.5 - 0.625, 14);
  });

  test('are twice as good with twice the steps', async () => {
    expect((await errorOf(flowMatchEuler(), 80)) / (await errorOf(flowMatchEuler(), 40))).toBeCloseTo(0.5, 1);
  });

  test('spread σ evenly, shifted, and tell the network T·σ', () => {
    // The schedule's own σ go from 1/4 to 1; those of three steps lie evenly between.
    const { sigmas, timesteps } = flowMatchEuler({ num_train_timesteps: 4 })(3);
    expect(sigmas).toEqual([1, 0.625, 0.25, 0]);
    expect(timesteps).toEqual([4, 2.5, 1]);
    // 3σ/(1 + 2σ) of 1/4 is 1/2, and again of 3/4, 9/10.
    expect(flowMatchEuler({ num_train_timesteps: 4, shift: 3 })(3).sigmas).toEqual(
      [1, 0.9, 0.75, 0].map((sigma) => expect.closeTo(sigma, 14)),
    );
  });

  test('have the optimum of Diffusion-DPO with score-consistent weights shift the mean by s²·g/β', async () => {
    const [g, beta] = [3, 2];
    const { s } = usual;
    const tilted = (x: Tensor, told: number) => {
      const sigma = told / T;
      const [a, b] = [1 - sigma, sigma];
      // δ = −g·v/(2β·W·a·b) for errors of ε; with W = v²/(2s²a²b²) it is −g·s²·a·b/(β·v), and of velocities 1/a of that.
      const v = a ** 2 * s ** 2 + b ** 2;
      return exact(usual)(x, told).sub((g * s ** 2 * b) / (beta * v));
    };
    const shift = async (steps: number) =>
      (await moments(flowMatchEuler(), steps, tilted)).mean -
      (await moments(flowMatchEuler(), steps, exact(usual))).mean;
    expect(await shift(1000)).toBeCloseTo(0.375, 2);
  });
});

test('an image depends on its key alone, not on the others', async () => {
  const options = {
    trajectory: eulerAncestral({ timestep_spacing: 'trailing' })(4),
    model: (x: Tensor) => x.mul(0.1).tanh(),
    shape: [1, 2, 2],
  };
  const all = await read(await sample({ ...options, keys: imageKeys(key(5), 3) }));
  const third = await read(await sample({ ...options, keys: imageKeys(key(5), 1, 2) }));
  expect(Array.from(third)).toEqual(Array.from(all.slice(8)));
  expect(Array.from(all.slice(0, 4))).not.toEqual(Array.from(all.slice(4, 8)));
});

test('sampling can be stopped', async () => {
  const control = new AbortController();
  let steps = 0;
  const running = sample({
    trajectory: ddim()(10),
    model: (x) => x,
    keys: imageKeys(key(0), 1),
    shape: [1],
    onStep: () => {
      if (++steps === 3) control.abort(new Error('enough'));
    },
    signal: control.signal,
  });
  await expect(running).rejects.toThrow('enough');
  expect(steps).toBe(3);
});

test('dynamic thresholding divides by a quantile of the absolute values', async () => {
  // 0 … 10: the quantile 0.95 of 11 values is 9.5.
  const x = tensor([Array.from({ length: 11 }, (_, i) => i)], { dtype: 'f64' });
  const sampler = ddpm({
    prediction_type: 'sample',
    clip_sample: false,
    thresholding: true,
    dynamic_thresholding_ratio: 0.95,
    sample_max_value: 100,
  });
  const trajectory = sampler(1);
  const { original } = trajectory.step(trajectory.start(x), x);
  const values = await read(original as Tensor);
  expect(values[5]).toBeCloseTo(5 / 9.5, 14);
  expect(values[10]).toBe(1);
});

test('guidance goes beyond the conditional prediction, and rescaling brings its spread back', async () => {
  const [conditional, unconditional] = [tensor([[1, 2, 6]], { dtype: 'f64' }), tensor([[0, 2, 3]], { dtype: 'f64' })];
  expect(Array.from(await read(guide(conditional, unconditional, { scale: 2 })))).toEqual([2, 2, 9]);
  const rescaled = guide(conditional, unconditional, { scale: 2, rescale: 1 });
  const spread = await read(rescaled.variance(1));
  expect(spread[0]).toBeCloseTo((await read(conditional.variance(1)))[0] as number, 12);
});

describe('configurations', () => {
  test.each(Object.entries(publishedSchedulers))('of %s are read', (_, { config, first, last }) => {
    const { timesteps } = samplerFromConfig(config)(20);
    expect([timesteps[0], timesteps.at(-1)]).toEqual([first, last]);
  });

  test('name their class, and fields of other samplers are left alone', () => {
    const sdxl = {
      _class_name: 'EulerDiscreteScheduler',
      _diffusers_version: '0.19.0',
      clip_sample: false,
      skip_prk_steps: true,
    };
    expect(samplerFromConfig(sdxl)(3).timesteps).toHaveLength(3);
    expect(() => samplerFromConfig({ _class_name: 'HeunDiscreteScheduler' })).toThrow(
      'samplerFromConfig: _class_name is "HeunDiscreteScheduler"; there are: DDPMScheduler',
    );
  });

  test('may spread the noise between bounds, and by its logarithm', () => {
    const config = { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 };
    const bounded = { ...config, sigma_min: 0.1, sigma_max: 10, use_karras_sigmas: true };
    const [most, ...others] = euler(bounded)(4).sigmas as readonly number[];
    expect(most).toBeCloseTo(10, 10);
    expect(others.at(-2)).toBeCloseTo(0.1, 10);
    // One more value than there are steps: as in diffusers, the last step ends at the smallest, not at 0.
    const logarithmic = euler({ ...config, interpolation_type: 'log_linear' })(5).sigmas as readonly number[];
    expect(logarithmic).toHaveLength(6);
    const ratio = (logarithmic[1] as number) / (logarithmic[0] as number);
    expect((logarithmic[5] as number) / (logarithmic[4] as number)).toBeCloseTo(ratio, 10);
    const { alphasCumprod } = noiseSchedule({ betaSchedule: 'scaled_linear', betaStart: 0.00085, betaEnd: 0.012 });
    expect(logarithmic[5]).toBeCloseTo(Math.sqrt(1 / (alphasCumprod[0] as number) - 1), 10);
  });

  test('of other samplers may say to clip, which a sampler without clipping does not do', async () => {
    const x = tensor([[3]], { dtype: 'f64' });
    const trajectory = dpmSolverMultistep({ clip_sample: true, prediction_type: 'sample' })(2);
    const { original } = trajectory.step(trajectory.start(x), x);
    expect(await item(original as Tensor)).toBe(3);
  });

  test('are refused by every field that is unknown or not supported', () => {
    expect(() => ddim({ beta_schedual: 'linear', prediction_type: 'flow', clip_sample_range: 'x' })).toThrow(
      /beta_schedual: is not known here[\s\S]*clip_sample_range: must be a number[\s\S]*prediction_type: must be one of "epsilon"/,
    );
    expect(() => ddpm({ variance_type: 'fixed_large_log' })).toThrow('variance_type: must be one of');
    expect(() => dpmSolverMultistep({ algorithm_type: 'dpmsolver' })).toThrow('cannot end at noise 0');
  });

  test('of a training without signal at the end need a network that says something there', async () => {
    const config = { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' };
    const noise = ones([1, 2]);
    const trajectory = ddim(config)(2);
    expect(() => trajectory.step(trajectory.start(noise), noise)).toThrow('nothing is left of the image');
    for (const sampler of [ddim, ddpm, euler, eulerAncestral, dpmSolverMultistep]) {
      const good = sampler({ ...config, prediction_type: 'v_prediction' })(2);
      const { sample: next } = good.step(good.start(noise), noise, noise);
      expect((await read(next)).every(Number.isFinite)).toBe(true);
    }
    expect(() => pndm(config)).toThrow('rescale_betas_zero_snr: only false is supported, got true');
  });

  test('give as many steps as there are time steps at most', () => {
    expect(() => ddim()(1001)).toThrow('ddim: steps must be a whole number from 1 to 1000, got 1001');
  });
});

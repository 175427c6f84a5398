import { type EulerOptions, euler, eulerAncestral, noiseSchedule } from 'diffusion-dpo/diffusion';
import { item, openDevice, setDefaultDevice, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const unit = (value: number) => tensor([[value]], { dtype: 'f64' });
/** σ of β from 1e-4 to 0.02 at a time step. */
const { alphasCumprod } = noiseSchedule();
const sigmaAt = (t: number) => Math.sqrt(1 / (alphasCumprod[t] as number) - 1);

describe('churn (Karras et al. 2022, algorithm 2)', () => {
  const config = { timestep_spacing: 'trailing', prediction_type: 'sample' };
  /** From σ to the next of two steps, with x = 3, x_0 = 0.5 and noise 0.25. */
  const [sigma, next] = [sigmaAt(999), sigmaAt(499)];
  const largest = euler(config)(2).sigmas?.[0] as number;
  const step = async (options: object, prediction = 'sample', output = 0.5) => {
    const trajectory = euler({ ...config, prediction_type: prediction }, options)(2);
    const { sample } = trajectory.step({ ...trajectory.start(unit(1)), sample: unit(3) }, unit(output), unit(0.25));
    return item(sample);
  };

  test.each<[string, EulerOptions, number, number]>([
    ['shares churn among the steps', { churn: 0.4 }, 0.2, 1],
    ['adds at most √2 − 1 of σ', { churn: 40 }, Math.SQRT2 - 1, 1],
    ['has noise of its own strength', { churn: 0.4, churnNoise: 1.1 }, 0.2, 1.1],
    ['adds within a range of σ', { churn: 0.4, churnRange: [0, 150] }, 0, 1],
    ['adds from the least σ of a range on', { churn: 0.4, churnRange: [160, 200] }, 0, 1],
    ['adds at the least σ of a range', { churn: 0.4, churnRange: [largest, 1e9] }, 0.2, 1],
    ['adds at the largest σ of a range', { churn: 0.4, churnRange: [0, largest] }, 0.2, 1],
  ])('%s', async (_, options, gamma, strength) => {
    const hat = sigma * (1 + gamma);
    const x = 3 + 0.25 * strength * Math.sqrt(hat ** 2 - sigma ** 2);
    // The slope is the one at σ̂, from which the step goes down.
    expect(await step(options)).toBeCloseTo(x + ((x - 0.5) / hat) * (next - hat), 10);
    const trajectory = euler(config, options)(2);
    expect(trajectory.drawsNoise(0)).toBe(gamma > 0);
  });

  test('takes a prediction of the noise for that at σ̂, and of the velocity at σ, as diffusers does', async () => {
    const hat = sigma * 1.2;
    const x = 3 + 0.25 * Math.sqrt(hat ** 2 - sigma ** 2);
    expect(await step({ churn: 0.4 }, 'epsilon')).toBeCloseTo(x + 0.5 * (next - hat), 10);
    const original = (-0.5 * sigma) / Math.sqrt(sigma ** 2 + 1) + x / (sigma ** 2 + 1);
    expect(await step({ churn: 0.4 }, 'v_prediction')).toBeCloseTo(x + ((x - original) / hat) * (next - hat), 10);
  });

  test('needs noise to add', () => {
    const trajectory = euler(config, { churn: 1 })(2);
    expect(() => trajectory.step(trajectory.start(unit(1)), unit(1))).toThrow('euler: this step adds noise');
  });
});

test('Euler begins with the largest σ, and with √(σ² + 1) where time steps lead', () => {
  const start = (timestep_spacing: string) => euler({ timestep_spacing })(2);
  expect(start('trailing').initNoiseSigma).toBeCloseTo(sigmaAt(999), 10);
  expect(start('leading').initNoiseSigma).toBeCloseTo(Math.hypot(sigmaAt(500), 1), 12);
  expect(start('linspace').initNoiseSigma).toBeCloseTo(sigmaAt(999), 10);
});

test('where nothing is left of the image, σ is that of ᾱ = 2⁻²⁴', () => {
  const config = { rescale_betas_zero_snr: true, prediction_type: 'v_prediction', timestep_spacing: 'trailing' };
  for (const sampler of [euler, eulerAncestral]) {
    expect(sampler(config)(3).sigmas?.[0]).toBeCloseTo(Math.sqrt(2 ** 24 - 1), 9);
    expect(sampler(config)(3).initNoiseSigma).toBeCloseTo(4095.99988, 4);
  }
});

test('Euler ancestral goes down to σ² /σ′ and up again by noise', async () => {
  const trajectory = eulerAncestral({ timestep_spacing: 'trailing' })(2);
  const [sigma, next] = [sigmaAt(999), sigmaAt(499)];
  const state = { ...trajectory.start(unit(1)), sample: unit(3) };
  const { sample } = trajectory.step(state, unit(0.5), unit(-2));
  const up = Math.sqrt((next ** 2 * (sigma ** 2 - next ** 2)) / sigma ** 2);
  const down = Math.sqrt(next ** 2 - up ** 2);
  expect(await item(sample)).toBeCloseTo(3 + 0.5 * (down - sigma) - 2 * up, 10);
});

test('Euler ends at the smallest σ of the schedule where it is told to', () => {
  expect(euler({ final_sigmas_type: 'sigma_min' })(3).sigmas?.at(-1)).toBeCloseTo(sigmaAt(0), 12);
  expect(euler({})(3).sigmas?.at(-1)).toBe(0);
});

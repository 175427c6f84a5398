import { ddpm, noiseSchedule } from 'diffusion-dpo/diffusion';
import { item, openDevice, setDefaultDevice, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const unit = (value: number) => tensor([[value]], { dtype: 'f64' });

describe('DDPM steps to the next time step of its trajectory', () => {
  const { alphasCumprod } = noiseSchedule();
  /** Equation 7 of Ho et al. for x_t = 2, x_0 = 0.5 and noise −1, from ᾱ_t to ᾱ_s. */
  const expected = (bar: number, before: number) => {
    const beta = 1 - bar / before;
    const mean =
      (Math.sqrt(before) * beta * 0.5) / (1 - bar) + (Math.sqrt(bar / before) * (1 - before) * 2) / (1 - bar);
    return mean - Math.sqrt(((1 - before) / (1 - bar)) * beta);
  };
  const config = { prediction_type: 'sample', clip_sample: false };

  test.each([
    ['linspace', 10, [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]],
    ['trailing', 6, [999, 832, 666, 499, 332, 166]],
    ['leading', 7, [852, 710, 568, 426, 284, 142, 0]],
  ] as const)('%s, %i steps', async (timestep_spacing, steps, timesteps) => {
    const trajectory = ddpm({ ...config, timestep_spacing })(steps);
    expect(trajectory.timesteps).toEqual(timesteps);
    for (const [index, t] of timesteps.entries()) {
      const state = { ...trajectory.start(unit(2)), index };
      const { sample } = trajectory.step(state, unit(0.5), unit(-1));
      const next = timesteps[index + 1];
      // The last one leads to the image, with the least noise, 1e-10, unless it is at time step 0.
      const wanted = next === undefined ? 0.5 : expected(alphasCumprod[t] as number, alphasCumprod[next] as number);
      expect(Math.abs((await item(sample)) - wanted)).toBeLessThan(2e-10);
    }
  });

  test('or down by ⌊T/steps⌋, as diffusers did up to 0.27', async () => {
    const trajectory = ddpm({ ...config, timestep_spacing: 'linspace' }, { stepTo: 'stride' })(10);
    const { sample } = trajectory.step(trajectory.start(unit(2)), unit(0.5), unit(-1));
    expect(await item(sample)).toBeCloseTo(expected(alphasCumprod[999] as number, alphasCumprod[899] as number), 12);
  });
});

describe('the noise of a step has the variance', () => {
  // ᾱ = 0.9, then 0.6: β of the step is 1/3, and β̃ = 0.1/0.4·β = 1/12.
  const config = { num_train_timesteps: 2, trained_betas: [0.1, 1 / 3], prediction_type: 'sample', clip_sample: false };
  const [beta, small] = [1 / 3, 1 / 12];

  test.each([
    ['fixed_small', undefined, small],
    ['fixed_small_log', undefined, small],
    [null, undefined, small],
    ['fixed_large', undefined, beta],
    ['learned', 0.25, 0.25],
    // Between the logarithms of both: from −1, β̃, to 1, β.
    ['learned_range', -1, small],
    ['learned_range', 1, beta],
    ['learned_range', 0, Math.sqrt(small * beta)],
  ])('%s, where the network says %s', async (variance_type, said, variance) => {
    const trajectory = ddpm({ ...config, variance_type })(2);
    const given = said === undefined ? unit(0.4) : tensor([[0.4, said]], { dtype: 'f64' });
    const step = async (noise: number) => {
      const { sample } = trajectory.step({ ...trajectory.start(unit(2)) }, given, unit(noise));
      return item(sample);
    };
    expect((await step(1)) - (await step(0))).toBeCloseTo(Math.sqrt(variance), 12);
  });
});

test('a learned range from nothing to nothing is finite', async () => {
  // β is 0 at time step 1: both ends of the range are the least variance.
  const trajectory = ddpm({
    ...{ num_train_timesteps: 3, trained_betas: [0.1, 0, 0.1], variance_type: 'learned_range' },
    ...{ prediction_type: 'sample', clip_sample: false },
  })(3);
  for (const said of [-1, 0, 1, 3]) {
    const given = tensor([[0.4, said]], { dtype: 'f64' });
    const { sample } = trajectory.step({ ...trajectory.start(unit(2)), index: 1 }, given, unit(1));
    expect(await item(sample)).toBeCloseTo(2, 9);
  }
});

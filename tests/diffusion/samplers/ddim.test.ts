import { ddim } from 'diffusion-dpo/diffusion';
import { item, openDevice, setDefaultDevice, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const unit = (value: number) => tensor([[value]], { dtype: 'f64' });

describe('a step of DDIM, by equation 12 of Song et al. 2021', () => {
  // ᾱ = 0.9 and 0.6.
  const config = { num_train_timesteps: 2, trained_betas: [0.1, 1 / 3], clip_sample: false };
  const [x, epsilon, noise] = [0.8, -0.3, 0.7];
  const expected = (bar: number, before: number, eta: number, limit = Number.POSITIVE_INFINITY, follows = false) => {
    const predicted = (x - Math.sqrt(1 - bar) * epsilon) / Math.sqrt(bar);
    const original = Math.min(Math.max(predicted, -limit), limit);
    const direction = follows ? (x - Math.sqrt(bar) * original) / Math.sqrt(1 - bar) : epsilon;
    const sigma = eta * Math.sqrt(((1 - before) / (1 - bar)) * (1 - bar / before));
    return Math.sqrt(before) * original + Math.sqrt(1 - before - sigma ** 2) * direction + sigma * noise;
  };
  const step = async (index: number, fields: object, options: object = {}) => {
    const trajectory = ddim({ ...config, ...fields }, options)(2);
    const { sample } = trajectory.step({ sample: unit(x), index, history: [] }, unit(epsilon), unit(noise));
    return item(sample);
  };

  test.each([0, 0.5, 1])('with η = %s', async (eta) => {
    expect(await step(0, {}, { eta })).toBeCloseTo(expected(0.6, 0.9, eta), 12);
    expect(ddim(config, { eta })(2).drawsNoise(0)).toBe(eta > 0);
  });

  test('ends at the image, or at the smallest noise', async () => {
    expect(await step(1, { set_alpha_to_one: true })).toBeCloseTo(expected(0.9, 1, 0), 12);
    expect(await step(1, { set_alpha_to_one: false })).toBeCloseTo(expected(0.9, 0.9, 0), 12);
  });

  test('clips the image, and lets the noise follow it where it is told to', async () => {
    const clips = { clip_sample: true, clip_sample_range: 0.5 };
    expect(await step(0, clips)).toBeCloseTo(expected(0.6, 0.9, 0, 0.5), 12);
    expect(await step(0, clips, { useClippedModelOutput: true })).toBeCloseTo(expected(0.6, 0.9, 0, 0.5, true), 12);
  });
});

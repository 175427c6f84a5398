import { noiseSchedule, type TextToImageParams } from 'diffusion-dpo/diffusion';
import { dpo, klEstimate, placeOnFrontier, timestepWeights } from 'diffusion-dpo/dpo';
import {
  key,
  openDevice,
  random,
  read,
  setDefaultDevice,
  type Tensor,
  take,
  tensor,
  zeros,
} from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import type { BatchTimesteps, Conditioning } from '../../../diffusion/index.ts';
import { normalQuantile } from '../../../dpo/evaluate/normalQuantile.ts';
import type { PreferenceTask } from '../../../dpo/train/preferenceStep.ts';

setDefaultDevice(await openDevice('reference'));

const numTrainTimesteps = 4;
const schedule = noiseSchedule({ numTrainTimesteps, betaStart: 0.1, betaEnd: 0.6 });
const { betas, alphasCumprod } = schedule;
type UNet = TextToImageParams['unet'];
/** Stand-ins for a model's parameters, which are only handed on. */
const [tuned, reference] = [{ model: 'tuned' }, { model: 'reference' }] as unknown as [UNet, UNet];
const conditioning = { context: 'of these images' } as unknown as Conditioning;

/** W_t of the evidence bound for a network that predicts the noise. */
const weightAt = (t: number): number => {
  const [beta, bar] = [betas[t] as number, alphasCumprod[t] as number];
  return (numTrainTimesteps * beta) / (2 * (1 - beta) * (1 - bar));
};
/** c_t = 1/√W_t, so that a difference of predictions of c_t counts 1 nat for each number, whatever t is. */
const unit = tensor(Array.from({ length: numTrainTimesteps }, (_, t) => 1 / Math.sqrt(weightAt(t))));

interface Asked {
  readonly noisy: number[];
  readonly timesteps: number[];
}

/** Estimates with two models that differ by `difference` of the noisy images and c_t, [N, 1, …]. */
async function estimate(
  images: Tensor,
  draws: number,
  seed: number,
  difference: (noisy: Tensor, unit: Tensor) => Tensor,
): Promise<{ kl: number[]; asked: Asked[] }> {
  const waiting: (readonly [Tensor, BatchTimesteps])[] = [];
  const task: PreferenceTask<UNet> = {
    ...{ schedule, prediction: 'epsilon' as const, objective: dpo({ beta: 1 }), beta: 1, timesteps: [1] },
    weights: timestepWeights('constant', schedule, 'epsilon'),
    predict(params: UNet, noisy: Tensor, timesteps: BatchTimesteps, given: Conditioning): Tensor {
      expect(given).toBe(conditioning);
      // Both models are asked about the same; the reference's own prediction is far from 0.
      const own = noisy.mul(-3).add(2);
      if (params === reference) return own;
      expect(params).toBe(tuned);
      waiting.push([noisy, timesteps]);
      const shape = noisy.shape.map((size, axis) => (axis === 0 ? size : 1));
      return own.add(difference(noisy, take(unit, timesteps as Tensor).reshape(shape)));
    },
  };
  const options = { task, tuned, reference, images, conditioning, draws, key: key(seed) };
  const kl = Array.from(await klEstimate(options));
  const numbers = async (x: Tensor) => Array.from(await read(x), Number);
  const asked: Asked[] = [];
  for (const [noisy, timesteps] of waiting)
    asked.push({ noisy: await numbers(noisy), timesteps: await numbers(timesteps as Tensor) });
  return { kl, asked };
}

describe('klEstimate', () => {
  test.each([1, 3])('is Σ W_t·(ε_θ − ε_ref)² over all numbers of an image, the mean over %i draws', async (draws) => {
    const offsets = tensor([2, -1, 0.5, 0]).reshape([4, 1, 1, 1]);
    const { kl } = await estimate(zeros([4, 3, 2, 1]), draws, 1, (noisy, c) => c.mul(offsets).broadcastTo(noisy.shape));
    // Six numbers an image.
    [6 * 4, 6 * 1, 6 * 0.25, 0].forEach((expected, i) => {
      expect(kl[i]).toBeCloseTo(expected, 4);
    });
  });

  test('noises each image by itself: the mean of x_t² is ᾱ_t·x² + 1 − ᾱ_t', async () => {
    const count = 4000;
    const level = (i: number) => 1 + (i % 2) * 3;
    const images = tensor(Float32Array.from({ length: count }, (_, i) => level(i))).reshape([count, 1, 1, 1]);
    const { asked } = await estimate(images, 1, 2, (noisy, c) => noisy.mul(c));
    const { noisy = [], timesteps = [] } = asked[0] ?? {};
    for (let t = 0; t < numTrainTimesteps; t++) {
      const bar = alphasCumprod[t] as number;
      const rows = timesteps.flatMap((one, i) => (one === t ? [i] : []));
      // Each time step is as likely as the others, within five standard errors.
      expect(Math.abs(rows.length - count / 4)).toBeLessThan(5 * Math.sqrt((count * 3) / 16));
      const noise = rows.map((i) => ((noisy[i] as number) - Math.sqrt(bar) * level(i)) / Math.sqrt(1 - bar));
      const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
      expect(Math.abs(mean(noise))).toBeLessThan(5 / Math.sqrt(rows.length));
      // The variance of ε² is 2.
      expect(Math.abs(mean(noise.map((one) => one ** 2)) - 1)).toBeLessThan(5 * Math.sqrt(2 / rows.length));
    }
  });

  test('draws other time steps and other noise each time, by the key', async () => {
    const run = (seed: number) => estimate(zeros([8, 1, 1, 1]), 3, seed, (noisy) => noisy);
    const [one, again, other] = [await run(3), await run(3), await run(4)];
    expect(one).toEqual(again);
    expect(one.kl).not.toEqual(other.kl);
    expect(new Set(one.asked.map(({ noisy }) => noisy.join())).size).toBe(3);
    expect(new Set(one.asked.map(({ timesteps }) => timesteps.join())).size).toBe(3);
  });

  test('draws time steps and noise with two keys of one draw', async () => {
    const { asked } = await estimate(zeros([8, 2, 1, 1]), 2, 5, (noisy) => noisy);
    for (const [draw, { noisy, timesteps }] of asked.entries()) {
      const [timeKey, noiseKey] = random.split(random.foldIn(key(5), draw));
      const steps = Array.from(await read(random.randint(timeKey, [8], 0, numTrainTimesteps)));
      expect(timesteps).toEqual(steps);
      const noise = await read(random.normal(noiseKey, [8, 2, 1, 1]));
      noisy.forEach((value, i) => {
        const bar = alphasCumprod[steps[Math.floor(i / 2)] as number] as number;
        expect(value).toBeCloseTo(Math.sqrt(1 - bar) * (noise[i] as number), 5);
      });
    }
  });

  test('is an upper bound: at the ELBO optimum of a Gaussian in 50 steps 1.26, where the divergence is 0.281', () => {
    // N(m, s²) with s = ½, r = 3·x, β = 2: δ_t = −g·v_t/(2β·W_t·a_t·b_t) moves the mean by S = s²g/β.
    const [s, g, beta] = [0.5, 3, 2];
    const cosine = noiseSchedule({ numTrainTimesteps: 50, betaSchedule: 'squaredcos_cap_v2' });
    const weights = timestepWeights('elbo', cosine, 'epsilon');
    let bound = 0;
    for (let t = 0; t < 50; t++) {
      const [w, a2] = [weights[t] as number, cosine.alphasCumprod[t] as number];
      const v = a2 * s ** 2 + 1 - a2;
      bound += (w * ((g * v) / (2 * beta * w)) ** 2) / (a2 * (1 - a2)) / 50;
    }
    const divergence = ((s ** 2 * g) / beta) ** 2 / (2 * s ** 2);
    expect(bound).toBeCloseTo(1.26, 2);
    expect(divergence).toBeCloseTo(0.281, 3);
    // Rewards of the reference, as the points that cut their distribution into equal parts.
    const rewards = Array.from({ length: 4000 }, (_, i) => g * s * normalQuantile((i + 0.5) / 4000));
    const reward = (g * s ** 2 * g) / beta;
    expect(placeOnFrontier(rewards, { reward, kl: divergence }).efficiency).toBeCloseTo(1, 2);
    expect(placeOnFrontier(rewards, { reward, kl: bound }).efficiency).toBeCloseTo(0.47, 2);
  });
});

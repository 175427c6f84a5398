import type { TextToImageParams } from '../../diffusion/index.ts';
import { addNoise, type Conditioning, modelTimesteps } from '../../diffusion/index.ts';
import { random, read, type Tensor, take, tensor } from '../../tensor/index.ts';
import { timestepWeights } from '../objectives/timestepWeights.ts';
import type { PreferenceTask } from '../train/preferenceStep.ts';

type UNetParams = TextToImageParams['unet'];

/**
 * Estimates, for each image [N, …] drawn by a tuned model, the divergence from its reference in nats:
 *
 *   KL(p_θ ‖ p_ref) ≤ Σ_t E ‖μ_θ − μ_ref‖² / (2β_t) = T · E_t[ β_t / (2·α_t·(1 − ᾱ_t)) · ‖ε_θ(x_t) − ε_ref(x_t)‖² ]
 *
 * The sum is the divergence between whole paths of the ancestral samplers, an upper bound of that between their images. x_t
 * are the noised images; `draws` time steps are drawn for each image. The mean over images estimates the bound.
 */
export async function klEstimate({
  task,
  tuned,
  reference,
  images,
  conditioning,
  draws,
  key,
}: {
  readonly task: PreferenceTask<UNetParams>;
  readonly tuned: UNetParams;
  readonly reference: UNetParams;
  readonly images: Tensor;
  readonly conditioning: Conditioning;
  readonly draws: number;
  readonly key: Tensor;
}): Promise<Float64Array> {
  const { schedule, prediction } = task;
  const weights = tensor(timestepWeights('elbo', schedule, prediction), { dtype: 'f32' });
  const count = images.shape[0] as number;
  const kl = new Float64Array(count);
  for (let draw = 0; draw < draws; draw++) {
    const [timeKey, noiseKey] = random.split(random.foldIn(key, draw));
    const timesteps = random.randint(timeKey, [count], 0, schedule.numTrainTimesteps);
    const noisy = addNoise(schedule, images, random.normal(noiseKey, images.shape), timesteps);
    const seen = modelTimesteps(schedule, timesteps);
    const ask = (params: UNetParams): Tensor => task.predict(params, noisy, seen, conditioning);
    const apart = ask(tuned).sub(ask(reference)).square();
    const squared = apart.sum(apart.shape.map((_, axis) => axis).slice(1));
    const values = await read(squared.mul(take(weights, timesteps)));
    values.forEach((value, i) => {
      kl[i] = (kl[i] as number) + Number(value) / draws;
    });
  }
  return kl;
}

import type { Layer } from '../../nn/index.ts';
import { random, type Tensor } from '../../tensor/index.ts';

/** The diagonal Gaussian that an encoder gives for each image, as [N, latentChannels, h, w] each. */
export interface LatentDistribution {
  readonly mean: Tensor;
  /** Clamped to [−30, 20] as in diffusers' DiagonalGaussianDistribution. Absent where the encoder is deterministic. */
  readonly logVariance?: Tensor | undefined;
}

/**
 * An autoencoder between images in [−1, 1], [N, 3, H, W], and latents [N, latentChannels, H/factor, W/factor]. `encode` and
 * `decode` are pure functions of the parameters; `encodeImages` and `decodeLatents` run them in slices and tiles.
 */
export interface Autoencoder<Params = unknown> extends Layer<Params> {
  readonly latentChannels: number;
  /** How many pixels one latent stands for, along each side. */
  readonly factor: number;
  encode(params: Params, images: Tensor): LatentDistribution;
  /** What the encoder gives before it is read as a distribution; where tiles meet, this is what is blended. */
  encodeMoments(params: Params, images: Tensor): Tensor;
  /** Reads the encoder's output as a distribution. */
  distributionOf(moments: Tensor): LatentDistribution;
  decode(params: Params, latents: Tensor): Tensor;
  /** Latents as the diffusion model sees them: (z − shift)·scale. */
  scaleLatents(latents: Tensor): Tensor;
  /** The inverse of `scaleLatents`. */
  unscaleLatents(latents: Tensor): Tensor;
}

/** z = μ + σ·ε, with noise of the shape of the mean (Kingma & Welling 2014, section 2.4). */
export const latentSample = ({ mean, logVariance }: LatentDistribution, noise: Tensor): Tensor =>
  logVariance === undefined ? mean : mean.add(logVariance.mul(0.5).exp().mul(noise));

/** A sample of latents with noise that `key` determines. */
export const sampleLatents = (latents: LatentDistribution, key: Tensor): Tensor =>
  latentSample(latents, random.normal(key, latents.mean.shape).cast(latents.mean.dtype));

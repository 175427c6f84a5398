import type { PipelinePart } from '../pipeline/stages.ts';
import type { Family } from './knownUNets.ts';
import type { TextLayout } from './textKeys.ts';

/** What the names of the UNet's tensors begin with. */
export const unetPrefix = 'model.diffusion_model.';
/** What the names of the autoencoder's tensors begin with. */
export const vaePrefix = 'first_stage_model.';

/** Where a text encoder is in a file, and how it is held. */
export interface TextPlace {
  readonly part: Extract<PipelinePart, 'text_encoder' | 'text_encoder_2'>;
  readonly prefix: string;
  readonly layout: TextLayout;
}

/** Where a file of a family has its text encoders, as such files are published and saved. */
export const textPlaces: Readonly<Record<Family, readonly [TextPlace, ...TextPlace[]]>> = {
  sd1: [{ part: 'text_encoder', prefix: 'cond_stage_model.transformer.', layout: 'clip' }],
  sd2: [{ part: 'text_encoder', prefix: 'cond_stage_model.model.', layout: 'OpenCLIP' }],
  sdxl: [
    { part: 'text_encoder', prefix: 'conditioner.embedders.0.transformer.', layout: 'clip' },
    { part: 'text_encoder_2', prefix: 'conditioner.embedders.1.model.', layout: 'OpenCLIP' },
  ],
  refiner: [{ part: 'text_encoder', prefix: 'conditioner.embedders.0.model.', layout: 'OpenCLIP' }],
};

/** Names of the average of the UNet's weights over training: without the dots of the original names, and without their first word. */
export const emaKey = (key: string): string => `model_ema.${key.replace(/^[^.]*\./, '').replaceAll('.', '')}`;

const schedule = [
  ...['betas', 'alphas_cumprod', 'alphas_cumprod_prev', 'sqrt_alphas_cumprod', 'sqrt_one_minus_alphas_cumprod'],
  ...['log_one_minus_alphas_cumprod', 'sqrt_recip_alphas_cumprod', 'sqrt_recipm1_alphas_cumprod'],
  ...['posterior_variance', 'posterior_log_variance_clipped', 'posterior_mean_coef1', 'posterior_mean_coef2'],
  ...['lvlb_weights', 'logvar', 'scale_factor', 'denoiser.sigmas', 'denoiser.log_sigmas', 'global_step'],
];

/** Tensors that say something about a model with their name alone. */
export const markers = { prediction: 'v_pred', zeroTerminalSnr: 'ztsnr' } as const;

/**
 * Whether a tensor is one that files have and no model needs: tables of the noise schedule, averages of weights, the numbers 0 to 76,
 * the temperature and mask of CLIP's training, the discriminator of the autoencoder's.
 */
export function isBookkeeping(key: string): boolean {
  return (
    schedule.includes(key) ||
    Object.values<string>(markers).includes(key) ||
    key.startsWith('model_ema.') ||
    key.startsWith(`${vaePrefix}loss.`) ||
    key.startsWith(`${vaePrefix}model_ema.`) ||
    /^(cond_stage_model|conditioner)\..*(position_ids|logit_scale|attn_mask)$/.test(key) ||
    /^(cond_stage_model|conditioner\.embedders\.0)\.transformer\.text_projection\.weight$/.test(key)
  );
}

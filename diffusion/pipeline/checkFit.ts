import { FormatError } from '../../tensor/index.ts';
import { autoencoderKLFields } from '../autoencoder/autoencoderKL.ts';
import { readConfig } from '../config.ts';
import { clipTextModelFields } from '../text/clipTextModel.ts';
import { unet2dConditionModelFields } from '../unet/unet2dConditionModel.ts';
import type { TextToImageConfig } from './textToImage.ts';

/**
 * Refuses a pipeline whose parts do not fit one another: latents of other channels, texts of other widths.
 * @throws FormatError that lists all that does not fit; `place` names the pipeline
 */
export function checkFit(place: string, { unet, textEncoder, textEncoder2, vae }: TextToImageConfig): void {
  const problems: string[] = [];
  const {
    in_channels: inputs,
    out_channels: outputs,
    cross_attention_dim: context,
    addition_embed_type: added,
    addition_time_embed_dim: timeWidth,
    projection_class_embeddings_input_dim: projected,
  } = readConfig('UNet2DConditionModel', unet, unet2dConditionModelFields);
  if (vae !== undefined) {
    const latents = vae._class_name === 'AutoencoderTiny' ? Number(vae.latent_channels ?? 4) : channelsOf(vae);
    if (latents !== inputs || latents !== outputs)
      problems.push(
        `the vae has latents of ${latents} channels, but the unet takes ${inputs} and gives ${outputs} ` +
          '(latent_channels; in_channels, out_channels)',
      );
  }
  const texts = [textEncoder, ...(textEncoder2 === undefined ? [] : [textEncoder2])].map((config) =>
    readConfig('CLIPTextModel', config, clipTextModelFields),
  );
  const width = texts.reduce((sum, { hidden_size }) => sum + hidden_size, 0);
  for (const one of new Set(typeof context === 'number' ? [context] : context))
    if (one !== width)
      problems.push(
        `the unet looks at text of width ${one} (cross_attention_dim), but the text encoder${texts.length > 1 ? 's give' : ' gives'} ` +
          `${texts.map(({ hidden_size }) => hidden_size).join(' + ')}${texts.length > 1 ? ` = ${width}` : ''} (hidden_size)`,
      );
  const pooled = texts.at(-1)?.projection_dim ?? 0;
  if (
    added === 'text_time' &&
    timeWidth !== null &&
    projected !== null &&
    ![5, 6].includes((projected - pooled) / timeWidth)
  )
    problems.push(
      `the unet takes ${projected} numbers beside the text (projection_class_embeddings_input_dim), which is neither the base's ` +
        `${pooled} + 6 · ${timeWidth} nor the refiner's ${pooled} + 5 · ${timeWidth} (projection_dim, addition_time_embed_dim)`,
    );
  if (problems.length > 0)
    throw new FormatError(
      `${place}: its parts do not fit one another:\n${problems.map((one) => `  ${one}`).join('\n')}`,
    );
}

const channelsOf = (vae: Readonly<Record<string, unknown>>): number =>
  readConfig('AutoencoderKL', vae, autoencoderKLFields).latent_channels;

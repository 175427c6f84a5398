import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseMerges, textToImage } from 'diffusion-dpo/diffusion';
import { readObject, savePipelineFolder } from 'diffusion-dpo/diffusion/node';
import { key } from 'diffusion-dpo/tensor';

const published = (...names: string[]): string =>
  fileURLToPath(new URL(join('../tests/golden', ...names), import.meta.url));

const scheduler = {
  ...{ beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', num_train_timesteps: 1000 },
  ...{ clip_sample: false, set_alpha_to_one: false, steps_offset: 1 },
};

/** The autoencoder of Stable Diffusion 1.x; SDXL's has another scale. */
const vae = {
  _class_name: 'AutoencoderKL',
  ...{ act_fn: 'silu', in_channels: 3, out_channels: 3, latent_channels: 4, norm_num_groups: 32 },
  ...{ block_out_channels: [128, 256, 512, 512], layers_per_block: 2, sample_size: 512 },
  down_block_types: new Array<string>(4).fill('DownEncoderBlock2D'),
  up_block_types: new Array<string>(4).fill('UpDecoderBlock2D'),
};

/** A pipeline at its published size, whose folder can be made. */
export type FullSize = 'sd15' | 'sdxl';

const pipelines = {
  sd15: { vae, scheduler: { _class_name: 'PNDMScheduler', ...scheduler, skip_prk_steps: true }, encoders: [''] },
  sdxl: {
    vae: { ...vae, sample_size: 1024, scaling_factor: 0.13025, force_upcast: true },
    scheduler: { _class_name: 'EulerDiscreteScheduler', ...scheduler, timestep_spacing: 'leading' },
    encoders: ['', '_2'],
  },
} as const;

/**
 * Makes the folder of a pipeline at its published size with random weights in bf16, unless it is there: 2.1 GB for sd15, 6.9 GB for
 * sdxl. Weights are drawn and written one by one.
 */
export async function makeFullSize(name: FullSize, folder: string): Promise<void> {
  const isThere = await access(join(folder, 'model_index.json')).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  const { vae, scheduler, encoders } = pipelines[name];
  const configOf = (part: string) => readObject(published('manifests', `${name}_${part}.config.json`));
  const [textEncoder, textEncoder2] = await Promise.all(encoders.map((suffix) => configOf(`text_encoder${suffix}`)));
  const config = { unet: await configOf('unet'), textEncoder: textEncoder ?? {}, textEncoder2, vae };
  const [vocabulary, merges] = [published('tokenizer', 'vocab.json'), published('tokenizer', 'merges.txt')];
  const tokenizer = {
    vocabulary: (await readObject(vocabulary)) as Readonly<Record<string, number>>,
    merges: parseMerges(await readFile(merges), merges),
  };
  const params = textToImage(config).init(key(0));
  await savePipelineFolder(
    folder,
    {
      ...{ config, tokenizer, scheduler, params, forceZerosForEmptyPrompt: name === 'sdxl' },
      ...(textEncoder2 && { tokenizer2: { ...tokenizer, padToken: '!' } }),
    },
    { dtype: 'bf16' },
  );
}

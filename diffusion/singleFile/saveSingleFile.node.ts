import { saveSafetensors } from '../../tensor/index.node.ts';
import { concat, type FloatDType, FormatError, flattenTree, isFloat, type Tensor, zeros } from '../../tensor/index.ts';
import { readConfig } from '../config.ts';
import type { PipelineFiles } from '../pipeline/pipelineFolder.node.ts';
import type { TextToImageConfig } from '../pipeline/textToImage.ts';
import { noisingFromConfig } from '../samplers/fromConfig.ts';
import { clipTextModelFields } from '../text/clipTextModel.ts';
import { type FilePart, textPart, unetPart, vaePart } from './fileParts.ts';
import type { Form } from './keyTable.ts';
import type { Family } from './knownUNets.ts';
import { markers, textPlaces } from './layouts.ts';

/** Options of `saveSingleFile`. */
export interface SaveSingleFileOptions {
  /** What numbers are written as. Default: the dtypes that the tensors have. */
  readonly dtype?: FloatDType | undefined;
}

/** The family as which a pipeline is laid out: by what its UNet takes, and by the activation that tells OpenCLIP from CLIP. */
function familyOf({ unet, textEncoder, textEncoder2 }: TextToImageConfig): Family {
  if (unet.addition_embed_type === 'text_time') return textEncoder2 === undefined ? 'refiner' : 'sdxl';
  return readConfig('CLIPTextModel', textEncoder, clipTextModelFields).hidden_act === 'quick_gelu' ? 'sd1' : 'sd2';
}

/** What holds its parameters in another form than the single file has them. */
const stored: Readonly<Record<Exclude<Form, 'query' | 'key' | 'value'>, (x: Tensor) => Tensor>> = {
  same: (x) => x,
  conv: (x) => x.reshape([...x.shape, 1, 1]),
  transposed: (x) => x.permute([1, 0]),
};

/** The tensors of a single file that hold the parameters of a part, by name; lazy where they are made of others. */
function tensorsIn({ places }: FilePart, parameters: unknown): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  const thirds = new Map<string, Partial<Record<Form, Tensor>>>();
  for (const { path, tensor } of flattenTree(parameters)) {
    const place = places.get(path);
    if (place === undefined) throw new FormatError(`saveSingleFile: ${path} is no parameter of its part`);
    const { key, form } = place;
    if (form === 'query' || form === 'key' || form === 'value') thirds.set(key, { ...thirds.get(key), [form]: tensor });
    else tensors.set(key, stored[form](tensor));
  }
  for (const [name, { query, key, value }] of thirds) {
    if (query === undefined || key === undefined || value === undefined)
      throw new FormatError(`saveSingleFile: ${name} is made of a query, a key and a value, and one is not there`);
    tensors.set(name, concat([query, key, value], 0));
  }
  return tensors;
}

/**
 * Saves a pipeline as one `.safetensors` file in the original layout of Stable Diffusion 1, 2 or XL, which other programs read. The file
 * holds weights alone: neither configurations nor tokenizers; that the network predicts v, and that the schedule ends with noise
 * alone, are said by the names of two empty tensors, `v_pred` and `ztsnr`. Written under a temporary name, then renamed.
 * @throws FormatError where the layout has no place for a part: a pipeline on pixels, an AutoencoderTiny
 */
export async function saveSingleFile(
  { config, params, scheduler }: Pick<PipelineFiles, 'config' | 'params' | 'scheduler'>,
  path: string,
  { dtype }: SaveSingleFileOptions = {},
): Promise<void> {
  const { unet, vae, textEncoder, textEncoder2 } = config;
  if (vae === undefined || vae._class_name !== 'AutoencoderKL')
    throw new FormatError(
      `saveSingleFile: single files hold Stable Diffusion with an AutoencoderKL, and this pipeline has ` +
        `${vae === undefined ? 'none' : `an ${String(vae._class_name)}`}; it is saved as a folder only`,
    );
  const places = textPlaces[familyOf(config)];
  const parts: readonly (readonly [FilePart, unknown])[] = [
    [unetPart(unet), params.unet],
    [vaePart(vae), params.vae],
    ...places.map((place, i) => {
      const own = i === 0 ? textEncoder : (textEncoder2 ?? textEncoder);
      return [textPart(own, place), params[place.part]] as const;
    }),
  ];
  const { prediction } = noisingFromConfig(scheduler);
  if (prediction !== 'epsilon' && prediction !== 'v_prediction')
    throw new FormatError(`saveSingleFile: no single file holds a network whose prediction is ${prediction}`);
  const tensors = new Map(
    parts
      .flatMap(([part, parameters]) => [...tensorsIn(part, parameters)])
      .map(([name, x]) => [name, dtype === undefined || !isFloat(x.dtype) ? x : x.cast(dtype)] as const),
  );
  if (prediction === 'v_prediction') tensors.set(markers.prediction, zeros([0]));
  if (scheduler.rescale_betas_zero_snr === true) tensors.set(markers.zeroTerminalSnr, zeros([0]));
  await saveSafetensors(path, tensors, { metadata: { format: 'pt' } });
}

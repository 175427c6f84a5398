import { mkdtemp, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  attempt,
  existingPath,
  openSafetensorsFile,
  removedAtExit,
  replaceFile,
  saveSafetensors,
} from '../../tensor/index.node.ts';
import {
  concat,
  type FloatDType,
  FormatError,
  flattenTree,
  isFloat,
  joinSafetensors,
  type Tensor,
  zeros,
} from '../../tensor/index.ts';
import { readConfig } from '../config.ts';
import type { PipelineDescription, PipelineFiles } from '../pipeline/pipelineSource.ts';
import type { PipelinePart } from '../pipeline/stages.ts';
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

/** What a pipeline's description says of the file that it is saved as. */
interface Plan {
  readonly parts: readonly FilePart[];
  /** Empty tensors whose names say something. */
  readonly marks: readonly string[];
}

function planOf({ config, scheduler }: Pick<PipelineDescription, 'config' | 'scheduler'>): Plan {
  const { unet, vae, textEncoder, textEncoder2 } = config;
  if (vae === undefined || vae._class_name !== 'AutoencoderKL')
    throw new FormatError(
      'saveSingleFile: single files hold Stable Diffusion with an AutoencoderKL, and this pipeline has ' +
        `${vae === undefined ? 'none' : `an ${String(vae._class_name)}`}; it is saved as a folder only`,
    );
  const { prediction } = noisingFromConfig(scheduler);
  if (prediction !== 'epsilon' && prediction !== 'v_prediction')
    throw new FormatError(`saveSingleFile: no single file holds a network whose prediction is ${prediction}`);
  return {
    parts: [
      unetPart(unet),
      vaePart(vae),
      ...textPlaces[familyOf(config)].map((place, i) =>
        textPart(i === 0 ? textEncoder : (textEncoder2 ?? textEncoder), place),
      ),
    ],
    marks: [
      ...(prediction === 'v_prediction' ? [markers.prediction] : []),
      ...(scheduler.rescale_betas_zero_snr === true ? [markers.zeroTerminalSnr] : []),
    ],
  };
}

/**
 * Saves a pipeline as one `.safetensors` file in the original layout of Stable Diffusion 1, 2 or XL, which other programs read. The file
 * holds weights alone: neither configurations nor tokenizers; that the network predicts v, and that the schedule ends with noise
 * alone, are said by the names of two empty tensors, `v_pred` and `ztsnr`. Written under a temporary name, then renamed.
 * @throws FormatError where the layout has no place for a part: a pipeline on pixels, an AutoencoderTiny
 */
export const saveSingleFile = (
  { params, ...description }: Pick<PipelineFiles, 'config' | 'params' | 'scheduler'>,
  path: string,
  options?: SaveSingleFileOptions,
): Promise<void> => saveSingleFileParts(path, description, (part, save) => save(params[part]), options);

/**
 * Saves a pipeline as one file part by part: `withPart` passes the parameters of a part to `save`, and may let them go afterwards, so
 * that one part at a time is in memory. Until all are there, they lie in a folder beside the file, which needs as much room again.
 * See `saveSingleFile`.
 */
export async function saveSingleFileParts(
  path: string,
  description: Pick<PipelineDescription, 'config' | 'scheduler'>,
  withPart: (part: PipelinePart, save: (params: unknown) => Promise<void>) => Promise<void>,
  { dtype }: SaveSingleFileOptions = {},
): Promise<void> {
  const { parts, marks } = planOf(description);
  const target = await attempt('write', path, existingPath(path));
  const staging = await attempt('write', path, mkdtemp(join(dirname(target), `.${basename(target)}-`)));
  const isDone = removedAtExit(staging);
  const files: string[] = [];
  const add = async (tensors: ReadonlyMap<string, Tensor>): Promise<void> => {
    files.push(join(staging, `${files.length}.safetensors`));
    await saveSafetensors(files.at(-1) as string, tensors);
  };
  try {
    for (const part of parts)
      await withPart(part.part, async (params) => {
        const tensors = [...tensorsIn(part, params)].map(
          ([name, x]) => [name, dtype === undefined || !isFloat(x.dtype) ? x : x.cast(dtype)] as const,
        );
        await add(new Map(tensors));
      });
    await add(new Map(marks.map((name) => [name, zeros([0])])));
    const readers = await Promise.all(files.map(openSafetensorsFile));
    try {
      await replaceFile(path, (write) => joinSafetensors({ write }, readers, { format: 'pt' }));
    } finally {
      await Promise.all(readers.map((reader) => reader.close()));
    }
  } finally {
    await rm(staging, { recursive: true, force: true });
    isDone();
  }
}

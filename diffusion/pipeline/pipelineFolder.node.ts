import { join } from 'node:path';
import { type Device, FormatError } from '../../tensor/index.ts';
import { formatObject, type JsonObject } from '../checkpoint/json.ts';
import type { LoadOptions } from '../checkpoint/loadParameters.ts';
import { loadModelFolder, type SaveModelOptions, saveModelFolder } from '../checkpoint/modelFolder.node.ts';
import { type ModelOf, modelFor } from '../checkpoint/models.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import { finishReplacing, replaceFiles, writeText } from '../checkpoint/replaceFiles.node.ts';
import { readConfig } from '../config.ts';
import { noisingFromConfig } from '../samplers/fromConfig.ts';
import { clipTextModel, clipTextModelFields } from '../text/clipTextModel.ts';
import type { ClipTokenizerFiles } from '../text/clipTokenizer.ts';
import { loadTokenizerFolder, saveTokenizerFolder } from '../text/tokenizerFolder.node.ts';
import type { UNetOptions } from '../unet/unet.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { checkTokenizer } from './checkTokenizer.ts';
import { timeIdCount } from './microConditioning.ts';
import { modelIndexOf, type PipelineParts, partsOf } from './modelIndex.ts';
import type { PipelinePart } from './stages.ts';
import { type TextToImage, type TextToImageConfig, type TextToImageParams, textToImage } from './textToImage.ts';

const indexName = 'model_index.json';
const schedulerName = 'scheduler_config.json';

/** What a pipeline's files say, without its weights. */
export interface PipelineDescription {
  readonly config: TextToImageConfig;
  readonly tokenizer: ClipTokenizerFiles;
  /** Of the second text encoder, where there are two. */
  readonly tokenizer2?: ClipTokenizerFiles | undefined;
  /** The `scheduler_config.json`. */
  readonly scheduler: JsonObject;
  /** Whether a negative prompt that is not given stands for zeros instead of for the empty prompt; default false. */
  readonly forceZerosForEmptyPrompt?: boolean | undefined;
}

/** What a pipeline folder holds, as files have it. */
export interface PipelineFiles extends PipelineDescription {
  readonly params: TextToImageParams;
}

/** A pipeline that is ready for use. */
export interface Pipeline extends PipelineFiles {
  readonly model: TextToImage;
}

/** A pipeline on disk, whose weights are read part by part. */
export interface PipelineSource extends PipelineDescription {
  /** The folder or file that messages name. */
  readonly place: string;
  /** The parts that there are, text encoders first and the autoencoder last. */
  readonly parts: readonly PipelinePart[];
  /** Parts of the folder that nothing uses. */
  readonly passedOver: readonly string[];
  /** Reads the weights of one part. */
  loadPart(part: PipelinePart, options?: LoadPartOptions): Promise<unknown>;
}

/** Options of reading the weights of a pipeline's parts. */
export interface LoadPartOptions {
  readonly device?: Device | undefined;
  /** What weights are converted to, one by one; see `LoadOptions`. Default: they stay as they are stored. */
  readonly dtype?: LoadOptions['dtype'];
}

/** Options of `loadPipelineFolder`. */
export interface LoadPipelineOptions extends UNetOptions, LoadPartOptions {}

/**
 * Reads the folder of a pipeline of diffusers without its weights: `model_index.json`, the configurations of `unet/`,
 * `scheduler/` and `vae/`, and one text encoder with its tokenizer or two (`text_encoder/` and `tokenizer/`,
 * `text_encoder_2/` and `tokenizer_2/`).
 * @throws FormatError that names the file and what is wrong with it, or the part that is not supported.
 */
export async function openPipelineFolder(folder: string): Promise<PipelineSource> {
  await finishReplacing(folder);
  const indexPath = join(folder, indexName);
  const parts = partsOf(await readObject(indexPath), indexPath);
  const schedulerPath = join(folder, 'scheduler', schedulerName);
  const scheduler = await readObject(schedulerPath);
  checked(schedulerPath, () => noisingFromConfig(scheduler));
  /** A configuration that a model can be made of. */
  const configOf = async (part: string, build: (config: JsonObject, path: string) => unknown): Promise<JsonObject> => {
    const path = join(folder, part, 'config.json');
    const config = await readObject(path);
    checked(path, () => build(config, path));
    return config;
  };
  const unet = await configOf('unet', (config) => unet2dConditionModel(config));
  const vae =
    parts.vae === undefined ? undefined : await configOf('vae', (config, path) => modelFor(config, path).build(config));
  const texts = await Promise.all(
    parts.texts.map(async (text) => ({
      text,
      config: await configOf(text.encoder, (config) => clipTextModel(config)),
      tokenizer: await loadTokenizerFolder(join(folder, text.tokenizer)),
    })),
  );
  const [first, second] = texts as [(typeof texts)[number], ...typeof texts];
  const takesSizes = unet.addition_embed_type === 'text_time';
  // The last text encoder is the one whose pooled text is used.
  texts.forEach(({ text, config, tokenizer }, i) => {
    checkTokenizer(tokenizer, config, {
      usesPooled: takesSizes && i === texts.length - 1,
      tokenizerPlace: (file) => join(folder, text.tokenizer, file),
      configPlace: join(folder, text.encoder, 'config.json'),
    });
  });
  const folderOf: Readonly<Partial<Record<PipelinePart, string>>> = {
    text_encoder: first.text.encoder,
    ...(second && { text_encoder_2: second.text.encoder }),
    unet: 'unet',
    ...(vae && { vae: 'vae' }),
  };
  const config = { unet, textEncoder: first.config, textEncoder2: second?.config, vae };
  return {
    ...{ place: folder, config, scheduler, tokenizer: first.tokenizer, tokenizer2: second?.tokenizer },
    forceZerosForEmptyPrompt: parts.forceZerosForEmptyPrompt,
    parts: Object.keys(folderOf) as PipelinePart[],
    passedOver: parts.passedOver,
    loadPart: async (part, { device, dtype } = {}) => {
      const name = folderOf[part];
      if (name === undefined) throw new FormatError(`${folder}: there is no ${part}`);
      return (await loadModelFolder(join(folder, name), { model: builders[part], device, dtype })).parameters;
    },
  };
}

/** What makes the model of a part; the autoencoder's configuration names its class. */
const builders: Readonly<Record<PipelinePart, ModelOf | undefined>> = {
  unet: unet2dConditionModel,
  text_encoder: clipTextModel,
  text_encoder_2: clipTextModel,
  vae: undefined,
};

/** Runs what reads a file's content, and names the file where it throws. */
export function checked(path: string, read: () => unknown): void {
  try {
    read();
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Reads the weights of all parts of a pipeline, or of some. */
export async function loadPipeline(
  source: PipelineSource,
  { device, dtype, ...options }: LoadPipelineOptions = {},
): Promise<Pipeline> {
  const params: Partial<Record<PipelinePart, unknown>> = {};
  for (const part of source.parts) params[part] = await source.loadPart(part, { device, dtype });
  return { ...descriptionOf(source), model: textToImage(source.config, options), params: params as TextToImageParams };
}

/** Loads the folder of a pipeline of diffusers: see `openPipelineFolder`. */
export const loadPipelineFolder = async (folder: string, options: LoadPipelineOptions = {}): Promise<Pipeline> =>
  loadPipeline(await openPipelineFolder(folder), options);

const descriptionOf = ({ config, tokenizer, tokenizer2, scheduler, forceZerosForEmptyPrompt }: PipelineSource) => ({
  ...{ config, tokenizer, tokenizer2, scheduler, forceZerosForEmptyPrompt },
});

/** Options of saving a pipeline's folder. */
export type SavePipelineOptions = Pick<SaveModelOptions, 'dtype' | 'maxShardBytes'>;

/**
 * Saves a pipeline as a folder that `loadPipelineFolder` can load, in diffusers' layout. Each part is replaced whole; the
 * index is written last, so a folder that has one has all parts.
 */
export const savePipelineFolder = (
  folder: string,
  { params, ...description }: PipelineFiles,
  options?: SavePipelineOptions,
): Promise<void> => savePipelineParts(folder, description, (part, save) => save(params[part]), options);

/**
 * Saves a pipeline part by part: `withPart` passes the parameters of a part to `save`, and may let them go afterwards, so that one
 * part at a time is in memory. See `savePipelineFolder`.
 */
export async function savePipelineParts(
  folder: string,
  { config, tokenizer, tokenizer2, scheduler, forceZerosForEmptyPrompt = false }: PipelineDescription,
  withPart: (part: PipelinePart, save: (params: unknown) => Promise<void>) => Promise<void>,
  options: SavePipelineOptions = {},
): Promise<void> {
  const { unet, textEncoder, textEncoder2, vae } = config;
  const takesSizes = unet.addition_embed_type === 'text_time';
  const pooled = readConfig('CLIPTextModel', textEncoder2 ?? textEncoder, clipTextModelFields).projection_dim;
  const index = modelIndexOf({
    ...{ takesSizes, takesScore: takesSizes && timeIdCount(unet, pooled) === 5 },
    ...{ textEncoders: textEncoder2 === undefined ? 1 : 2, forceZerosForEmptyPrompt },
    vae: vae && String(vae._class_name),
    scheduler: String(scheduler._class_name),
  });
  const { texts }: PipelineParts = partsOf(index, indexName);
  const savePart = (part: PipelinePart, name: string, json: JsonObject): Promise<void> =>
    withPart(part, (params) => saveModelFolder(join(folder, name), json, params, options));
  await savePart('unet', 'unet', unet);
  if (vae !== undefined) await savePart('vae', 'vae', vae);
  const encoders = [
    { part: 'text_encoder', json: textEncoder, files: tokenizer },
    { part: 'text_encoder_2', json: textEncoder2, files: tokenizer2 ?? tokenizer },
  ] as const;
  for (const [i, text] of texts.entries()) {
    const { part, json, files } = encoders[i] as (typeof encoders)[number];
    await savePart(part, text.encoder, json ?? {});
    await saveTokenizerFolder(join(folder, text.tokenizer), files);
  }
  await replaceText(join(folder, 'scheduler'), schedulerName, formatObject(scheduler));
  await replaceText(folder, indexName, formatObject(index));
}

const replaceText = (folder: string, name: string, text: string): Promise<void> =>
  replaceFiles(
    folder,
    (staging) => writeText(join(staging, name), text),
    (file) => file === name,
  );

import { join } from 'node:path';
import { formatObject, type JsonObject } from '../checkpoint/json.ts';
import { type SaveModelOptions, saveModelFolder } from '../checkpoint/modelFolder.node.ts';
import { replaceFiles, writeText } from '../checkpoint/replaceFiles.node.ts';
import { readConfig } from '../config.ts';
import { clipTextModelFields } from '../text/clipTextModel.ts';
import { saveTokenizerFolder } from '../text/tokenizerFolder.node.ts';
import type { UNetOptions } from '../unet/unet.ts';
import { checkFit } from './checkFit.ts';
import { timeIdCount } from './microConditioning.ts';
import { indexName, modelIndexOf, type PipelineParts, partsOf, schedulerName } from './modelIndex.ts';
import { type OpenFolderOptions, openPipelineFolder } from './openPipelineFolder.node.ts';
import type {
  LoadPartOptions,
  Pipeline,
  PipelineDescription,
  PipelineFiles,
  PipelineSource,
} from './pipelineSource.ts';
import type { PipelinePart } from './stages.ts';
import { type TextToImageParams, textToImage } from './textToImage.ts';

/** Options of `loadPipelineFolder`. */
export interface LoadPipelineOptions extends UNetOptions, LoadPartOptions, OpenFolderOptions {}

/** Reads the weights of all parts of a pipeline, or of some. */
export async function loadPipeline(
  source: PipelineSource,
  { device, dtype, ...options }: UNetOptions & LoadPartOptions = {},
): Promise<Pipeline> {
  const params: Partial<Record<PipelinePart, unknown>> = {};
  for (const part of source.parts) params[part] = await source.loadPart(part, { device, dtype });
  return { ...descriptionOf(source), model: textToImage(source.config, options), params: params as TextToImageParams };
}

/** Loads the folder of a pipeline of diffusers: see `openPipelineFolder`. */
export const loadPipelineFolder = async (
  folder: string,
  { variant, ...options }: LoadPipelineOptions = {},
): Promise<Pipeline> => {
  const source = await openPipelineFolder(folder, { variant });
  checkFit(folder, source.config);
  return loadPipeline(source, options);
};

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

import { join } from 'node:path';
import { type Device, type FloatDType, FormatError, quote } from '../../tensor/index.ts';
import { formatObject, type JsonObject } from '../checkpoint/json.ts';
import { loadModelFolder, saveModelFolder } from '../checkpoint/modelFolder.node.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import { finishReplacing, replaceFiles, writeText } from '../checkpoint/replaceFiles.node.ts';
import { readConfig } from '../config.ts';
import { noisingFromConfig, samplerFromConfig } from '../samplers/fromConfig.ts';
import { clipTextModel, clipTextModelFields, endTokenProblem } from '../text/clipTextModel.ts';
import { type ClipTokenizerFiles, clipTokenizer } from '../text/clipTokenizer.ts';
import { loadTokenizerFolder, saveTokenizerFolder } from '../text/tokenizerFolder.node.ts';
import type { UNetOptions } from '../unet/unet.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { modelIndexOf, type PipelineParts, partsOf } from './modelIndex.ts';
import { type TextToImage, type TextToImageConfig, type TextToImageParams, textToImage } from './textToImage.ts';

const indexName = 'model_index.json';
const schedulerName = 'scheduler_config.json';

/** What a pipeline folder holds, as files have it. */
export interface PipelineFiles {
  readonly config: TextToImageConfig;
  readonly tokenizer: ClipTokenizerFiles;
  /** The `scheduler_config.json`. */
  readonly scheduler: JsonObject;
  readonly params: TextToImageParams;
}

/** A pipeline that is ready for use. */
export interface Pipeline extends PipelineFiles {
  readonly model: TextToImage;
}

export interface LoadPipelineOptions extends UNetOptions {
  readonly device?: Device | undefined;
  /** What weights are converted to, one by one. Default: they stay as they are stored. */
  readonly dtype?: FloatDType | undefined;
}

/**
 * Loads the folder of a text-to-image pipeline in pixel space, as diffusers has it: `model_index.json`, `unet/`,
 * `scheduler/`, and one text encoder with its tokenizer (`text_encoder/` and `tokenizer/`, or `text_encoder_2/` and
 * `tokenizer_2/`).
 * @throws FormatError that names the file and what is wrong with it, or the part that is not supported.
 */
export async function loadPipelineFolder(folder: string, options: LoadPipelineOptions = {}): Promise<Pipeline> {
  await finishReplacing(folder);
  const indexPath = join(folder, indexName);
  const parts = partsOf(await readObject(indexPath), indexPath);
  const schedulerPath = join(folder, 'scheduler', schedulerName);
  const scheduler = await readObject(schedulerPath);
  try {
    // Refuses what cannot be sampled with before weights are read.
    samplerFromConfig(scheduler);
    noisingFromConfig(scheduler);
  } catch (cause) {
    throw new FormatError(`${schedulerPath}: ${(cause as Error).message}`, { cause });
  }
  const tokenizer = await loadTokenizerFolder(join(folder, parts.tokenizer));
  const { device, dtype } = options;
  const encoder = await loadModelFolder(join(folder, parts.textEncoder), { model: clipTextModel, device, dtype });
  const unet = await loadModelFolder(join(folder, 'unet'), { model: unet2dConditionModel, device, dtype });
  checkTokenizer(folder, parts, tokenizer, encoder.config, unet.config.addition_embed_type === 'text_time');
  const config = { unet: unet.config, textEncoder: encoder.config };
  return {
    config,
    tokenizer,
    scheduler,
    model: textToImage(config, options),
    params: { unet: unet.parameters, text_encoder: encoder.parameters },
  };
}

/** Refuses a tokenizer whose ids are not those of the text encoder; its end token matters where pooled texts are used. */
function checkTokenizer(
  folder: string,
  parts: PipelineParts,
  tokenizer: ClipTokenizerFiles,
  encoder: JsonObject,
  usesPooled: boolean,
): void {
  const { vocab_size: size } = readConfig('CLIPTextModel', encoder, clipTextModelFields);
  const beyond = (file: string, token: string, id: number) =>
    new FormatError(
      `${join(folder, parts.tokenizer, file)}: the token ${quote(token)} has the id ${id}, but the text encoder has ${size} tokens ` +
        `(vocab_size of ${join(folder, parts.textEncoder, 'config.json')}); are both of one model?`,
    );
  for (const [token, id] of Object.entries(tokenizer.vocabulary)) if (id >= size) throw beyond('vocab.json', token, id);
  for (const { content, id } of tokenizer.addedTokens ?? [])
    if (id >= size) throw beyond('tokenizer_config.json or added_tokens.json', content, id);
  const problem = usesPooled ? endTokenProblem(encoder, clipTokenizer(tokenizer).endId) : undefined;
  if (problem !== undefined) throw new FormatError(`${join(folder, parts.textEncoder, 'config.json')}: ${problem}`);
}

/**
 * Saves a pipeline as a folder that `loadPipelineFolder` can load, in diffusers' layout. Each part is replaced whole; the
 * index is written last, so a folder that has one has all parts.
 */
export async function savePipelineFolder(
  folder: string,
  { config, tokenizer, scheduler, params }: PipelineFiles,
  { dtype }: { readonly dtype?: FloatDType | undefined } = {},
): Promise<void> {
  const takesSizes = config.unet.addition_embed_type === 'text_time';
  const index = modelIndexOf(takesSizes, String(scheduler._class_name));
  const parts = partsOf(index, indexName);
  await saveModelFolder(join(folder, 'unet'), config.unet, params.unet, { dtype });
  await saveModelFolder(join(folder, parts.textEncoder), config.textEncoder, params.text_encoder, { dtype });
  await saveTokenizerFolder(join(folder, parts.tokenizer), tokenizer);
  await replaceText(join(folder, 'scheduler'), schedulerName, formatObject(scheduler));
  await replaceText(folder, indexName, formatObject(index));
}

const replaceText = (folder: string, name: string, text: string): Promise<void> =>
  replaceFiles(
    folder,
    (staging) => writeText(join(staging, name), text),
    (file) => file === name,
  );

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt } from '../../tensor/index.node.ts';
import { FormatError, quote, TensorError } from '../../tensor/index.ts';
import { checked } from '../checkpoint/checked.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { checkModelFolder, loadModelFolder } from '../checkpoint/modelFolder.node.ts';
import { type ModelOf, modelFor } from '../checkpoint/models.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import { finishReplacing } from '../checkpoint/replaceFiles.node.ts';
import { hasVariant } from '../checkpoint/weightFiles.ts';
import { noisingFromConfig } from '../samplers/fromConfig.ts';
import { clipTextModel } from '../text/clipTextModel.ts';
import type { ClipTokenizerFiles } from '../text/clipTokenizer.ts';
import { loadTokenizerFolder } from '../text/tokenizerFolder.node.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { checkTokenizer } from './checkTokenizer.ts';
import { indexName, partsOf, schedulerName, type TextPart } from './modelIndex.ts';
import type { PipelineSource } from './pipelineSource.ts';
import type { PipelinePart } from './stages.ts';

/** Options of `openPipelineFolder`. */
export interface OpenFolderOptions {
  /** Such as `fp16`: the weights of that name, where a part has them. Default: the plain weights, or those that stand alone. */
  readonly variant?: string | undefined;
}

/** A part of a pipeline whose configuration has been read, and how its weights are found. */
interface OpenedPart {
  readonly config: JsonObject;
  readonly path: string;
  readonly options: { readonly model: ModelOf | undefined; readonly variant: string | undefined };
}

/**
 * Reads the folder of a pipeline of diffusers: `model_index.json`, the configurations of `unet/`, `scheduler/` and `vae/`, and one
 * text encoder with its tokenizer or two (`text_encoder/` and `tokenizer/`, `text_encoder_2/` and `tokenizer_2/`). Names and shapes of
 * the weights are checked; their numbers are not read.
 * @throws FormatError that lists all that is wrong: files that are missing or broken, parts that are not supported, tensors that a part
 * lacks.
 */
export async function openPipelineFolder(folder: string, { variant }: OpenFolderOptions = {}): Promise<PipelineSource> {
  await finishReplacing(folder);
  const indexPath = join(folder, indexName);
  const parts = partsOf(await readObject(indexPath), indexPath);
  const problems: TensorError[] = [];
  /** The result of a check, or undefined where it fails; its error is thrown with those of the others. */
  const tried = async <T>(check: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof TensorError)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  const objectOf = (path: string, check: (json: JsonObject) => unknown): Promise<JsonObject | undefined> =>
    tried(async () => {
      const json = await readObject(path);
      checked(path, () => check(json));
      return json;
    });
  const found = new Set<string>();
  const partOf = async (name: string, build?: ModelOf): Promise<OpenedPart | undefined> => {
    const path = join(folder, name);
    const file = join(path, 'config.json');
    const config = await objectOf(file, (json) => (build ?? modelFor(json, file).build)(json));
    if (config === undefined) return undefined;
    const isThere = variant !== undefined && hasVariant(await attempt('open', path, readdir(path)), variant);
    if (isThere) found.add(name);
    const options = { model: build, variant: isThere ? variant : undefined };
    await tried(() => checkModelFolder(path, options));
    return { config, path, options };
  };
  const schedulerPath = join(folder, 'scheduler', schedulerName);
  const scheduler = await objectOf(schedulerPath, noisingFromConfig);
  const texts: { readonly text: TextPart; readonly part: OpenedPart; readonly tokenizer: ClipTokenizerFiles }[] = [];
  for (const text of parts.texts) {
    const part = await partOf(text.encoder, clipTextModel);
    const tokenizer = await tried(() => loadTokenizerFolder(join(folder, text.tokenizer)));
    if (part !== undefined && tokenizer !== undefined) texts.push({ text, part, tokenizer });
  }
  const unet = await partOf('unet', unet2dConditionModel);
  const vae = parts.vae === undefined ? undefined : await partOf('vae');
  const [first, second] = texts;
  const isWhole = texts.length === parts.texts.length && (vae !== undefined || parts.vae === undefined);
  if (scheduler === undefined || unet === undefined || first === undefined || !isWhole)
    throw together(folder, problems);

  const takesSizes = unet.config.addition_embed_type === 'text_time';
  // The last text encoder is the one whose pooled text is used.
  for (const [i, { text, part, tokenizer }] of texts.entries())
    await tried(() =>
      checkTokenizer(tokenizer, part.config, {
        usesPooled: takesSizes && i === texts.length - 1,
        tokenizerPlace: (file) => join(folder, text.tokenizer, file),
        configPlace: join(part.path, 'config.json'),
      }),
    );
  const config = {
    ...{ unet: unet.config, textEncoder: first.part.config },
    ...{ textEncoder2: second?.part.config, vae: vae?.config },
  };
  if (variant !== undefined && found.size === 0)
    problems.push(new FormatError(`${folder}: no part has weights of the variant ${quote(variant)}`));
  if (problems.length > 0) throw together(folder, problems);

  const opened: Readonly<Partial<Record<PipelinePart, OpenedPart>>> = {
    text_encoder: first.part,
    ...(second && { text_encoder_2: second.part }),
    unet,
    ...(vae && { vae }),
  };
  return {
    ...{ place: folder, config, scheduler, tokenizer: first.tokenizer, tokenizer2: second?.tokenizer },
    forceZerosForEmptyPrompt: parts.forceZerosForEmptyPrompt,
    parts: Object.keys(opened) as PipelinePart[],
    passedOver: parts.passedOver,
    loadPart: async (name, { device, dtype } = {}) => {
      const part = opened[name];
      if (part === undefined) throw new FormatError(`${folder}: there is no ${name}`);
      return (await loadModelFolder(part.path, { ...part.options, device, dtype })).parameters;
    },
  };
}

/** One error for all problems of a folder. */
function together(folder: string, problems: readonly TensorError[]): TensorError {
  const [first, ...others] = problems;
  if (first !== undefined && others.length === 0) return first;
  return new FormatError(
    `${folder}: there are ${problems.length} problems:\n${problems.map(({ message }) => message).join('\n')}`,
  );
}

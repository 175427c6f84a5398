import { openSafetensorsFile } from '../../tensor/index.node.ts';
import { FormatError, type SafetensorsFile } from '../../tensor/index.ts';
import { loadParameters } from '../checkpoint/loadParameters.ts';
import { checkTokenizer } from '../pipeline/checkTokenizer.ts';
import type { PipelineSource } from '../pipeline/pipelineSource.ts';
import { knownConfigs } from './chooseConfigs.ts';
import { type ConfigFolder, readConfigFolder } from './configFolder.node.ts';
import { checkDtypes, checkParts, type FilePart, partReader, textPart, unetPart, vaePart } from './fileParts.ts';
import { endsWithNoise, knownScheduler, type SingleFilePrediction } from './knownParts.ts';
import { vaePrefix } from './layouts.ts';
import { type Recognised, recognise } from './recognise.ts';
import { tokenizersFor } from './tokenizers.node.ts';

/** Options of opening a single file: what it does not hold. */
export interface SingleFileOptions {
  /** A folder of configurations, laid out as a pipeline's, that stands in for the table of published models. */
  readonly modelConfig?: string | undefined;
  /** The folder of a tokenizer, or of a pipeline that has one. Default: CLIP's. */
  readonly tokenizer?: string | undefined;
  /** What the network predicts. Default: what marker tensors or `modelConfig` say; epsilon, but for Stable Diffusion 2. */
  readonly prediction?: SingleFilePrediction | undefined;
  /** Whether the noise schedule ends with noise alone. Default: what a marker tensor or `modelConfig` says, else false. */
  readonly zeroTerminalSnr?: boolean | undefined;
  /** Whether the UNet's weights are the average over training, where a file has both; default false. */
  readonly ema?: boolean | undefined;
}

/** What is taken from elsewhere, so that the file need not have it. */
export interface TakenElsewhere {
  readonly vae?: boolean;
}

/** Configurations from a folder, or from the table, which has no scheduler before the prediction is known. */
type FileConfigs = Omit<ConfigFolder, 'scheduler'> & Partial<Pick<ConfigFolder, 'scheduler'>>;

/** A single file's parts and what its keys tell, before its tokenizer is looked for. */
export interface SingleFileParts {
  readonly recognised: Recognised;
  readonly configs: FileConfigs;
  readonly parts: readonly FilePart[];
}

/**
 * Finds the parts of a single file, whose tensors must be theirs.
 * @throws FormatError that says what the file is instead, which option it needs, or lists the tensors that are missing,
 * unexpected or of another shape
 */
export async function findParts(
  file: SafetensorsFile,
  { modelConfig, ema = false }: Pick<SingleFileOptions, 'modelConfig' | 'ema'> = {},
  elsewhere: TakenElsewhere = {},
): Promise<SingleFileParts> {
  const recognised = recognise(file);
  const { texts, hasVae, hasEma, hasGaps } = recognised;
  if (ema && !hasEma)
    throw new FormatError(
      `${file.name}: has no average of its weights (no tensors model_ema.…), which --ema asks for; leave it out`,
    );
  const takesVae = elsewhere.vae !== true;
  if (!hasVae && takesVae)
    throw new FormatError(
      `${file.name}: has no autoencoder (no tensors ${vaePrefix}…); give one with --vae FOLDER or --vae FILE`,
    );
  const configs: FileConfigs =
    modelConfig === undefined
      ? { ...knownConfigs(file, recognised), tokenizers: [], forceZerosForEmptyPrompt: undefined }
      : await readConfigFolder(modelConfig);
  if (configs.texts.length !== texts.length)
    throw new FormatError(
      `${file.name}: has ${texts.length} text encoder(s), and ${modelConfig} has the configurations of ${configs.texts.length}; ` +
        'are both of one model?',
    );
  if (takesVae && configs.vae === undefined)
    throw new FormatError(`${modelConfig}: has no vae/config.json, and ${file.name} has an autoencoder`);
  const parts = [
    ...texts.map((place, i) => textPart(configs.texts[i] ?? configs.texts[0], place)),
    unetPart(configs.unet, { ema, hasGaps }),
    ...(takesVae && configs.vae !== undefined ? [vaePart(configs.vae)] : []),
  ];
  const plain = ema ? unetPart(configs.unet, { hasGaps }) : undefined;
  const passed = new Set([...(plain?.places.values() ?? [])].map(({ key }) => key));
  checkParts(file, parts, {
    title: `${file.name}: its tensors are not those of ${configs.name}`,
    texts,
    ignores: (name) => passed.has(name) || (!takesVae && name.startsWith(vaePrefix)),
  });
  checkDtypes(file, parts);
  return { recognised, configs, parts };
}

/** What the network of a file predicts, and whether its schedule ends with noise alone: as a scheduler's configuration. */
function schedulerOf(
  name: string,
  { family, prediction: marked, zeroTerminalSnr: markedZero }: Recognised,
  own: ConfigFolder['scheduler'] | undefined,
  { prediction: asked, zeroTerminalSnr: askedZero }: SingleFileOptions,
): ConfigFolder['scheduler'] {
  if (asked !== undefined && marked !== undefined && asked !== marked)
    throw new FormatError(
      `${name}: its tensor v_pred says that the network predicts v, and --prediction says ${asked}; leave --prediction out`,
    );
  const zero = askedZero ?? (markedZero ? true : undefined);
  // From noise alone, a prediction of the noise says nothing.
  const prediction = asked ?? marked ?? (zero === true ? 'v_prediction' : undefined);
  if (own !== undefined)
    return {
      ...own,
      ...(prediction !== undefined && { prediction_type: prediction }),
      ...(zero === false && { rescale_betas_zero_snr: false }),
      // Where the folder says so too, all else is as it has it.
      ...(zero === true && own.rescale_betas_zero_snr !== true && endsWithNoise),
      // PNDM, which extrapolates from earlier steps, does not begin with noise alone.
      ...(zero === true && own._class_name === 'PNDMScheduler' && { _class_name: 'DDIMScheduler' }),
    };
  if (prediction === undefined && family === 'sd2')
    throw new FormatError(
      `${name}: no tensor of Stable Diffusion 2 tells what its network predicts. Say it with --prediction: the models for images of ` +
        '768 pixels (2, 2.1) have v_prediction, those for 512 pixels (2-base, 2.1-base, Turbo) epsilon',
    );
  return knownScheduler(family, prediction ?? 'epsilon', zero ?? false);
}

/**
 * Opens a Stable Diffusion checkpoint in the original layout, one `.safetensors` file, as a pipeline whose weights are read part by part.
 * Its keys and shapes tell which model it is; configurations come from a table of published models.
 * @throws FormatError that says what the file is instead, which option it needs, or what is wrong with its tensors
 */
export async function openSingleFile(
  path: string,
  options: SingleFileOptions = {},
  elsewhere: TakenElsewhere = {},
): Promise<PipelineSource> {
  await using file = await openSafetensorsFile(path);
  const { recognised, configs, parts } = await findParts(file, options, elsewhere);
  const { family, texts, hasEma } = recognised;
  const scheduler = schedulerOf(path, recognised, configs.scheduler, options);
  const { tokenizers, place: tokenizerPlace } = await tokenizersFor(family, options.tokenizer, {
    tokenizers: configs.tokenizers,
    place: options.modelConfig,
  });
  const takesSizes = configs.unet.addition_embed_type === 'text_time';
  texts.forEach((_, i) => {
    checkTokenizer(tokenizers[i] ?? tokenizers[0], configs.texts[i] ?? configs.texts[0], {
      usesPooled: takesSizes && i === texts.length - 1,
      tokenizerPlace: (file) => `${tokenizerPlace} (${file})`,
      configPlace: configs.name,
    });
  });
  // Of Stable Diffusion 2, the models that predict v were trained on images of 768 pixels.
  const isLarge = family === 'sd2' && scheduler.prediction_type === 'v_prediction' && options.modelConfig === undefined;
  const unet = isLarge ? { ...configs.unet, sample_size: 96 } : configs.unet;
  return {
    place: path,
    config: { unet, textEncoder: configs.texts[0], textEncoder2: configs.texts[1], vae: configs.vae },
    scheduler,
    tokenizer: tokenizers[0],
    tokenizer2: tokenizers[1],
    forceZerosForEmptyPrompt: configs.forceZerosForEmptyPrompt ?? family === 'sdxl',
    parts: parts.map(({ part }) => part),
    passedOver: hasEma && options.ema !== true ? ['model_ema'] : [],
    loadPart: async (name, { device, dtype } = {}) => {
      const part = parts.find((one) => one.part === name);
      if (part === undefined) throw new FormatError(`${path}: there is no ${name}`);
      await using reopened = await openSafetensorsFile(path);
      return await loadParameters(part.template, partReader(reopened, part), { device, dtype });
    },
  };
}

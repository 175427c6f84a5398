import type { Device } from '../../tensor/index.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import type { LoadOptions } from '../checkpoint/loadParameters.ts';
import type { ClipTokenizerFiles } from '../text/clipTokenizer.ts';
import type { PipelinePart } from './stages.ts';
import type { TextToImage, TextToImageConfig, TextToImageParams } from './textToImage.ts';

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

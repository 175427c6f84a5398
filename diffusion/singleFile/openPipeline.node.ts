import { stat } from 'node:fs/promises';
import { attempt } from '../../tensor/index.node.ts';
import { TensorError } from '../../tensor/index.ts';
import { finishReplacing } from '../checkpoint/replaceFiles.node.ts';
import { checkFit } from '../pipeline/checkFit.ts';
import { openPipelineFolder } from '../pipeline/openPipelineFolder.node.ts';
import type { PipelineSource } from '../pipeline/pipelineSource.ts';
import { openSingleFile, type SingleFileOptions } from './openSingleFile.node.ts';
import { refuseOtherFolder } from './otherFolder.node.ts';
import { withUNet, withVae } from './replaceParts.node.ts';

/** Options of `openPipeline`: what a pipeline does not hold itself, or what is taken from elsewhere. */
export interface OpenPipelineOptions extends SingleFileOptions {
  /** Another autoencoder: its folder, a pipeline's that has one, or a file with weights of the pipeline's architecture. */
  readonly vae?: string | undefined;
  /** Another UNet: its folder, or a pipeline's that has one. */
  readonly unet?: string | undefined;
  /** Of a folder: the weights of a variant such as `fp16`. Default: the plain ones, or those that stand alone. */
  readonly variant?: string | undefined;
}

/** What only single files need to be told, with the names of the command line. */
const ofSingleFiles = {
  modelConfig: '--model-config',
  tokenizer: '--tokenizer',
  prediction: '--prediction',
  zeroTerminalSnr: '--zero-terminal-snr',
  ema: '--ema',
} as const;

/**
 * Opens a pipeline without reading its weights: a folder of diffusers (see `openPipelineFolder`), or a Stable Diffusion checkpoint in
 * the original layout, one `.safetensors` file, which its keys and shapes tell from others.
 * @throws FormatError that says what is wrong with it, or which option it needs; TensorError for an option that only single files have
 */
export async function openPipeline(path: string, options: OpenPipelineOptions = {}): Promise<PipelineSource> {
  const { vae, unet, variant, ...single } = options;
  const isFolder = (await attempt('open', path, stat(path))).isDirectory();
  if (isFolder) {
    await finishReplacing(path);
    await refuseOtherFolder(path);
    const [option] = Object.entries(ofSingleFiles).filter(([name]) => {
      const value = single[name as keyof typeof ofSingleFiles];
      return value !== undefined && value !== false;
    });
    if (option !== undefined)
      throw new TensorError(
        `${path}: ${option[1]} is for single files, which do not say it; a pipeline's folder holds it: in its scheduler/, tokenizer/ or config.json`,
      );
  }
  if (!isFolder && variant !== undefined)
    throw new TensorError(
      `${path}: --variant is for folders, and this is one file; name the file of the variant itself`,
    );
  const own = isFolder
    ? await openPipelineFolder(path, { variant })
    : await openSingleFile(path, single, { vae: vae !== undefined });
  const withOther = vae === undefined ? own : await withVae(own, vae);
  const source = unet === undefined ? withOther : await withUNet(withOther, unet);
  checkFit(source.place, source.config);
  return source;
}

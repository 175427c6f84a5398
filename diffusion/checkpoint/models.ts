import type { InitOptions } from '../../nn/index.ts';
import { FormatError, type Tensor } from '../../tensor/index.ts';
import { autoencoderKL } from '../autoencoder/autoencoderKL.ts';
import { autoencoderTiny } from '../autoencoder/autoencoderTiny.ts';
import { clipTextModel } from '../text/clipTextModel.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { unet2dModel } from '../unet/unet2dModel.ts';
import type { JsonObject } from './json.ts';
import { type OldNames, oldAttentionNames } from './oldNames.ts';

/** Any model, whatever its inputs are. */
export interface AnyModel {
  init(key: Tensor, options?: InitOptions): unknown;
  apply(params: never, ...inputs: never): unknown;
}

/** A model from its configuration. */
export type ModelOf = (config: JsonObject) => AnyModel;

/** How published files of a model may differ from its parameters. */
export interface PublishedFiles {
  /** Tensors that they have and the model does not need. */
  readonly ignore?: readonly string[];
  /** What the model calls tensors that older ones have under other names. */
  readonly oldNames?: OldNames;
}

export interface KnownModel extends PublishedFiles {
  readonly build: ModelOf;
}

// position_ids are the numbers 0 to 76, which transformers saved before 4.31.
const clip: KnownModel = { build: clipTextModel, ignore: ['text_model.embeddings.position_ids'] };

const known: ReadonlyMap<unknown, KnownModel> = new Map<unknown, KnownModel>([
  ['UNet2DModel', { build: unet2dModel, oldNames: oldAttentionNames }],
  ['UNet2DConditionModel', { build: unet2dConditionModel }],
  ['AutoencoderKL', { build: autoencoderKL, oldNames: oldAttentionNames }],
  ['AutoencoderTiny', { build: autoencoderTiny }],
  ['CLIPTextModel', clip],
  ['CLIPTextModelWithProjection', clip],
]);

/** The class that a configuration is for: diffusers' `_class_name`, or the one of transformers' `architectures`. */
function classOf({ _class_name, architectures }: JsonObject): unknown {
  if (_class_name !== undefined) return _class_name;
  return Array.isArray(architectures) && architectures.length === 1 ? architectures[0] : undefined;
}

/**
 * The model that a configuration is for. `file` is what messages call it.
 * @throws FormatError where the configuration names no class, or one that is not known here.
 */
export function modelFor(config: JsonObject, file: string): KnownModel {
  const name = classOf(config);
  const found = known.get(name);
  if (found !== undefined) return found;
  const names = [...known.keys()].join(', ');
  throw new FormatError(
    name === undefined
      ? `${file}: names no class: it needs "_class_name", or "architectures" with one entry; known are ${names}`
      : `${file}: the class ${JSON.stringify(name)} is not known here; known are ${names}`,
  );
}

/** How the published files of a model may differ, by the class that the configuration names, or by what makes the model. */
export const publishedFilesOf = (config: JsonObject, build: ModelOf): PublishedFiles =>
  known.get(classOf(config)) ?? [...known.values()].find((one) => one.build === build) ?? {};

/** What the weights of a configuration are stored in, without the ending: by the library that it is for. */
export const stemFor = (config: JsonObject): string =>
  config._class_name === undefined && config.architectures !== undefined ? 'model' : 'diffusion_pytorch_model';

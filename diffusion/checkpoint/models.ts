import type { InitOptions } from '../../nn/index.ts';
import { FormatError, type Tensor } from '../../tensor/index.ts';
import { clipTextModel } from '../text/clipTextModel.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { unet2dModel } from '../unet/unet2dModel.ts';
import type { JsonObject } from './json.ts';

/** Any model, whatever its inputs are. */
export interface AnyModel {
  init(key: Tensor, options?: InitOptions): unknown;
  apply(params: never, ...inputs: never): unknown;
}

/** A model from its configuration. */
export type ModelOf = (config: JsonObject) => AnyModel;

export interface KnownModel {
  readonly build: ModelOf;
  /** Tensors that published files have and the model does not need. */
  readonly ignore: readonly string[];
}

const diffusers = (build: ModelOf): KnownModel => ({ build, ignore: [] });
// The numbers 0 to 76, which transformers used to save.
const clip: KnownModel = { build: clipTextModel, ignore: ['text_model.embeddings.position_ids'] };

const known: ReadonlyMap<unknown, KnownModel> = new Map([
  ['UNet2DModel', diffusers((config) => unet2dModel(config))],
  ['UNet2DConditionModel', diffusers((config) => unet2dConditionModel(config))],
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

/** What the weights of a configuration are stored in, without the ending: by the library that it is for. */
export const stemFor = (config: JsonObject): string =>
  config._class_name === undefined && config.architectures !== undefined ? 'model' : 'diffusion_pytorch_model';

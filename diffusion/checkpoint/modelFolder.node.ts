import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ParamsOf } from '../../nn/index.ts';
import { attempt, openSafetensorsPath, readWholeIfThere, saveSafetensors } from '../../tensor/index.node.ts';
import {
  type FloatDType,
  FormatError,
  flattenTree,
  isFloat,
  key,
  storedByteLength,
  type Tensor,
  TensorError,
} from '../../tensor/index.ts';
import { differences, throwProblems } from './differences.ts';
import { formatObject, type JsonObject } from './json.ts';
import { checkParameters, type LoadOptions, loadParameters } from './loadParameters.ts';
import { type AnyModel, modelFor, publishedFilesOf, stemFor } from './models.ts';
import { readObject } from './readObject.node.ts';
import { finishReplacing, replaceFiles, writeText } from './replaceFiles.node.ts';
import { chooseWeights, cutIntoShards, isWeightsFile, namesToWrite, type WeightsName } from './weightFiles.ts';

const configName = 'config.json';

interface FolderOptions<Model extends AnyModel> {
  /** What makes the model from the configuration, such as `unet2dConditionModel`. Default: by the class that it names. */
  readonly model?: ((config: JsonObject) => Model) | undefined;
  /** What the weights are stored in, without the ending. Default: `diffusion_pytorch_model`, or `model` for transformers. */
  readonly stem?: string | undefined;
  /** Such as `fp16` for `diffusion_pytorch_model.fp16.safetensors`. */
  readonly variant?: string | undefined;
}

/** Options of `loadModelFolder`. */
export interface LoadModelOptions<Model extends AnyModel = AnyModel> extends LoadOptions, FolderOptions<Model> {}

/** What a folder holds. */
export interface LoadedModel<Model extends AnyModel> {
  /** As the file has it, notes such as `_diffusers_version` included. */
  readonly config: JsonObject;
  readonly model: Model;
  readonly parameters: ParamsOf<Model>;
}

/**
 * Loads a model from a folder of diffusers or transformers: `config.json` and its weights, which may be one file, a variant
 * such as fp16, or shards with an index. Weights go to the device one by one, as `loadParameters` has it.
 *
 * ```ts
 * const { model, parameters } = await loadModelFolder('stable-diffusion-v1-5/unet', { model: unet2dConditionModel });
 * ```
 * @throws FormatError that names the file and what is wrong with it: a configuration that is no JSON or that asks for
 * what there is not, a class that is not known, weights that are missing, cut short, or not those of the model.
 */
export async function loadModelFolder<Model extends AnyModel = AnyModel>(
  folder: string,
  options: LoadModelOptions<Model> = {},
): Promise<LoadedModel<Model>> {
  const { config, model, reader, published } = await openModelFolder(folder, options);
  await using file = reader;
  const parameters = await loadParameters(model.init(key(0)), file, { ...options, ...published });
  return { config, model, parameters: parameters as ParamsOf<Model> };
}

/**
 * Checks by the headers of its files that a folder holds a model, without reading numbers.
 * @throws FormatError as `loadModelFolder`.
 */
export async function checkModelFolder(folder: string, options: LoadModelOptions = {}): Promise<void> {
  const { model, reader, published } = await openModelFolder(folder, options);
  await using file = reader;
  await checkParameters(model.init(key(0)), file, published);
}

/** A folder's configuration, its model, the reader of its weights, and how published weights of it may differ. */
async function openModelFolder<Model extends AnyModel>(folder: string, options: LoadModelOptions<Model>) {
  await finishReplacing(folder);
  const files = await attempt('open', folder, readdir(folder));
  const path = join(folder, configName);
  if (!files.includes(configName))
    throw new FormatError(
      `${folder}: there is no ${configName}; it holds ${files.slice(0, 20).join(', ') || 'nothing'}`,
    );
  const config = await readObject(path);
  const model = modelOf(config, path, options);
  const { ignore = [], oldNames } = publishedFilesOf(config, options.model ?? (() => model));
  const weights = join(folder, chooseWeights(weightsName(config, options), files, folder));
  const reader = await openSafetensorsPath(weights);
  const published = { oldNames: options.oldNames ?? oldNames, ignore: [...ignore, ...(options.ignore ?? [])] };
  return { config, model, reader, published };
}

/** The model of a configuration, which `file` holds. */
function modelOf<Model extends AnyModel>(
  config: JsonObject,
  file: string,
  { model: build = modelFor(config, file).build as (config: JsonObject) => Model }: FolderOptions<Model>,
): Model {
  try {
    return build(config);
  } catch (cause) {
    throw new FormatError(`${file}: ${(cause as Error).message}`, { cause });
  }
}

function weightsName(config: JsonObject, { stem = stemFor(config), variant }: FolderOptions<AnyModel>): WeightsName {
  for (const [option, name] of Object.entries({ stem, variant })) {
    if (name !== undefined && !/^[\w-]+$/.test(name))
      throw new TensorError(
        `the ${option} ${JSON.stringify(name)} must be letters, digits, _ and -: it is part of file names`,
      );
  }
  return { stem, variant };
}

/** Options of `saveModelFolder`. */
export interface SaveModelOptions extends FolderOptions<AnyModel> {
  /** What numbers are written as. Default: the dtypes that the tensors have. */
  readonly dtype?: FloatDType | undefined;
  /** The largest size of a file, in bytes of tensors; larger models are cut into shards. Default: one file. */
  readonly maxShardBytes?: number | undefined;
}

/**
 * Saves a model as a folder of diffusers or transformers that `loadModelFolder`, and they, can load. Tensors are computed,
 * written and let go one by one. All files are replaced at once: if this fails or the process is killed, the folder holds
 * either the model that it held before or the new one. For that the disk must have room for both. Other files, and other
 * variants, stay.
 * @throws FormatError where the parameters are not those of the configuration's model; nothing is written then.
 */
export async function saveModelFolder(
  folder: string,
  config: JsonObject,
  parameters: unknown,
  options: SaveModelOptions = {},
): Promise<void> {
  const { dtype, maxShardBytes = Number.POSITIVE_INFINITY } = options;
  if (!(maxShardBytes > 0))
    throw new TensorError(`saveModelFolder: maxShardBytes is ${maxShardBytes}; it must be above 0`);
  const model = modelOf(config, 'saveModelFolder: the configuration', options);
  const leaves = flattenTree(parameters);
  const shapes = (tree: readonly { path: string; tensor: Tensor }[]) =>
    new Map(tree.map(({ path, tensor }) => [path, tensor.shape]));
  throwProblems(
    'saveModelFolder: these are not the parameters of this model',
    differences(shapes(flattenTree(model.init(key(0)))), shapes(leaves)),
  );
  const name = weightsName(config, options);
  const tensors = leaves.map(({ path, tensor }): readonly [string, Tensor] => [
    path,
    dtype === undefined || !isFloat(tensor.dtype) ? tensor : tensor.cast(dtype),
  ]);
  const bytesOf = ([, tensor]: readonly [string, Tensor]) => storedByteLength(tensor);
  const shards = cutIntoShards(tensors, bytesOf, maxShardBytes);
  const names = namesToWrite(name, shards.length);
  await replaceFiles(
    folder,
    async (staging) => {
      // Mostly it is the same as before: then the weights alone are replaced, which takes one step.
      const text = formatObject(config);
      const old = await readWholeIfThere(join(folder, configName)).catch(() => undefined);
      if (old === undefined || text !== new TextDecoder().decode(old)) await writeText(join(staging, configName), text);
      for (const [i, shard] of shards.entries()) {
        await saveSafetensors(join(staging, names.shards[i] as string), shard, { metadata: { format: 'pt' } });
      }
      if (names.index !== undefined) {
        const places = shards.flatMap((shard, i) => shard.map(([path]) => [path, names.shards[i] as string] as const));
        const total_size = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
        const index = { metadata: { total_size }, weight_map: Object.fromEntries(places) };
        await writeText(join(staging, names.index), formatObject(index));
      }
    },
    (file) => isWeightsFile(name, file),
  );
}

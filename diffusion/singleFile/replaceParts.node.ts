import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, openSafetensorsFile } from '../../tensor/index.node.ts';
import { FormatError, key } from '../../tensor/index.ts';
import { autoencoderKL } from '../autoencoder/autoencoderKL.ts';
import { checked } from '../checkpoint/checked.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { loadParameters } from '../checkpoint/loadParameters.ts';
import { loadModelFolder } from '../checkpoint/modelFolder.node.ts';
import { modelFor } from '../checkpoint/models.ts';
import { oldAttentionNames } from '../checkpoint/oldNames.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import type { PipelineSource } from '../pipeline/pipelineSource.ts';
import type { PipelinePart } from '../pipeline/stages.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { checkParts, partReader, vaePart } from './fileParts.ts';
import { vaePrefix } from './layouts.ts';

/** A part from another folder or file. */
interface Replacement {
  readonly config: JsonObject;
  readonly load: PipelineSource['loadPart'];
}

const isFolder = async (path: string): Promise<boolean> => (await attempt('open', path, stat(path))).isDirectory();

/** The folder of a part: one that has a configuration, or whose folder of the part's name has one, as in a pipeline's. */
async function partFolder(folder: string, part: 'unet' | 'vae'): Promise<string> {
  const inside = join(folder, part);
  const isInside = await access(join(inside, 'config.json')).then(
    () => true,
    () => false,
  );
  if (isInside) return inside;
  if ((await readdir(folder)).includes('config.json')) return folder;
  throw new FormatError(`${folder}: there is neither a config.json nor a ${part}/config.json`);
}

async function fromFolder(path: string, part: 'unet' | 'vae'): Promise<Replacement> {
  const folder = await partFolder(path, part);
  const configPath = join(folder, 'config.json');
  const config = await readObject(configPath);
  const build = part === 'unet' ? (json: JsonObject) => unet2dConditionModel(json) : modelFor(config, configPath).build;
  checked(configPath, () => build(config));
  const { _class_name: name } = config;
  if (part === 'vae' && name !== 'AutoencoderKL' && name !== 'AutoencoderTiny')
    throw new FormatError(`${configPath}: this is no autoencoder: its class is ${JSON.stringify(name)}`);
  return {
    config,
    load: async (_, { device, dtype } = {}) =>
      (await loadModelFolder(folder, { model: build, device, dtype })).parameters,
  };
}

/**
 * An autoencoder of one file, whose names are diffusers' or those of the original layout, with the prefix of checkpoints, `vae.`, or
 * none. The file holds no configuration: it is that of the pipeline's own.
 */
async function vaeFromFile(path: string, config: JsonObject): Promise<Replacement> {
  if (config._class_name !== 'AutoencoderKL')
    throw new FormatError(
      `${path}: a file holds no configuration, and that of the pipeline is for ${JSON.stringify(config._class_name)}; ` +
        'give the folder of an autoencoder instead: --vae FOLDER',
    );
  const template = autoencoderKL(config).init(key(0));
  await using file = await openSafetensorsFile(path);
  const isOurs = file.names.some((name) => /^(encoder|decoder)\.mid_block\./.test(name));
  if (isOurs)
    return {
      config,
      load: async (_, { device, dtype } = {}) => {
        await using reopened = await openSafetensorsFile(path);
        return await loadParameters(template, reopened, { device, dtype, oldNames: oldAttentionNames });
      },
    };
  const prefix = ['', 'vae.', vaePrefix].find((one) => file.names.includes(`${one}encoder.conv_in.weight`));
  if (prefix === undefined)
    throw new FormatError(
      `${path}: this is no autoencoder: it has no tensor encoder.conv_in.weight; it holds ${file.names.slice(0, 5).join(', ') || 'nothing'}` +
        (file.names.length > 5 ? ', …' : ''),
    );
  const part = vaePart(config, prefix);
  checkParts(file, [part], {
    title: `${path}: its tensors are not those of the autoencoder of this model`,
    texts: [],
    // A whole checkpoint may be given for its autoencoder.
    ignores: (name) => !name.startsWith(prefix) || /^(loss|model_ema)\./.test(name.slice(prefix.length)),
  });
  return {
    config,
    load: async (_, { device, dtype } = {}) => {
      await using reopened = await openSafetensorsFile(path);
      return await loadParameters(part.template, partReader(reopened, part), { device, dtype });
    },
  };
}

/** A pipeline with a part of another folder or file. */
function withPart(source: PipelineSource, part: PipelinePart, { config, load }: Replacement): PipelineSource {
  const parts = source.parts.includes(part) ? source.parts : [...source.parts, part];
  return {
    ...source,
    config: { ...source.config, [part]: config },
    parts,
    loadPart: (name, options) => (name === part ? load(name, options) : source.loadPart(name, options)),
  };
}

/**
 * A pipeline with another autoencoder: the folder of one, or a file of which only the weights count, with the configuration of the
 * pipeline's own.
 */
export async function withVae(source: PipelineSource, path: string): Promise<PipelineSource> {
  if (await isFolder(path)) return withPart(source, 'vae', await fromFolder(path, 'vae'));
  if (source.config.vae !== undefined) return withPart(source, 'vae', await vaeFromFile(path, source.config.vae));
  throw new FormatError(
    `${path}: a file holds no configuration, and there is none for an autoencoder of ${source.place}; give the folder of an ` +
      'autoencoder instead: --vae FOLDER',
  );
}

/** A pipeline with the UNet of another folder, such as one that was tuned and is published alone. */
export async function withUNet(source: PipelineSource, path: string): Promise<PipelineSource> {
  if (await isFolder(path)) return withPart(source, 'unet', await fromFolder(path, 'unet'));
  throw new FormatError(
    `${path}: a UNet is given as a folder with its config.json and weights (--unet FOLDER), and this is a file; ` +
      'a whole checkpoint of one file is given as the model itself',
  );
}

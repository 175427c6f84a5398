import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt } from '../../tensor/index.node.ts';
import { FormatError } from '../../tensor/index.ts';
import { checked } from '../checkpoint/checked.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { checkModelFolder, loadModelFolder } from '../checkpoint/modelFolder.node.ts';
import { modelFor } from '../checkpoint/models.ts';
import { readObject } from '../checkpoint/readObject.node.ts';
import type { PipelineSource } from '../pipeline/pipelineSource.ts';
import type { PipelinePart } from '../pipeline/stages.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { type Replacement, vaeFromFile } from './vaeFile.node.ts';

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
  await checkModelFolder(folder, { model: build });
  return {
    config,
    load: async (_, { device, dtype } = {}) =>
      (await loadModelFolder(folder, { model: build, device, dtype })).parameters,
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
  return withPart(source, 'vae', await vaeFromFile(path, source));
}

/** A pipeline with the UNet of another folder, such as one that was tuned and is published alone. */
export async function withUNet(source: PipelineSource, path: string): Promise<PipelineSource> {
  if (await isFolder(path)) return withPart(source, 'unet', await fromFolder(path, 'unet'));
  throw new FormatError(
    `${path}: a UNet is given as a folder with its config.json and weights (--unet FOLDER), and this is a file; ` +
      'a whole checkpoint of one file is given as the model itself',
  );
}

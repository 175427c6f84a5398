import { openSafetensorsFile } from '../../tensor/index.node.ts';
import { FormatError, key, type SafetensorsFile, type SafetensorsReader } from '../../tensor/index.ts';
import { autoencoderKL } from '../autoencoder/autoencoderKL.ts';
import { autoencoderTiny } from '../autoencoder/autoencoderTiny.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { checkParameters, loadParameters } from '../checkpoint/loadParameters.ts';
import { oldAttentionNames } from '../checkpoint/oldNames.ts';
import type { PipelineSource } from '../pipeline/pipelineSource.ts';
import { checkParts, partReader, vaePart } from './fileParts.ts';
import { vaePrefix } from './layouts.ts';

/** A part from another folder or file. */
export interface Replacement {
  readonly config: JsonObject;
  readonly load: PipelineSource['loadPart'];
}

/** The weights of a file, read anew each time they are asked for; `view` gives them the names of `template`. */
const fromFile = (
  path: string,
  config: JsonObject,
  template: unknown,
  view: (file: SafetensorsFile) => SafetensorsReader = (file) => file,
): Replacement => ({
  config,
  load: async (_, { device, dtype } = {}) => {
    await using file = await openSafetensorsFile(path);
    return await loadParameters(template, view(file), { device, dtype, oldNames: oldAttentionNames });
  },
});

/** TAESD (AutoencoderTiny) in one file with diffusers' names; all published ones differ in their numbers alone. */
async function tinyFrom(path: string, file: SafetensorsFile): Promise<Replacement> {
  const widths = (part: string) =>
    new Array<number>(4).fill(file.entries.get(`${part}.layers.0.weight`)?.shape[0] ?? 64);
  const config = {
    _class_name: 'AutoencoderTiny',
    encoder_block_out_channels: widths('encoder'),
    // The decoder's first layer makes its width of the latents' channels.
    decoder_block_out_channels: widths('decoder'),
  };
  const template = autoencoderTiny(config).init(key(0));
  await checkParameters(template, file);
  return fromFile(path, config, template);
}

/**
 * An autoencoder of one file: an AutoencoderKL whose names are diffusers' or those of the original layout, with the prefix of checkpoints,
 * `vae.`, or none; or TAESD with diffusers' names. The file holds no configuration: an AutoencoderKL's is that of the pipeline's own.
 * @throws FormatError that says what the file is instead, or lists the tensors that are not those of the autoencoder
 */
export async function vaeFromFile(
  path: string,
  { config: { vae: config }, place }: PipelineSource,
): Promise<Replacement> {
  await using file = await openSafetensorsFile(path);
  const has = (name: string): boolean => file.entries.has(name);
  if (has('encoder.layers.0.weight') && has('decoder.layers.0.weight')) return tinyFrom(path, file);
  if (has('0.weight') && has('1.conv.0.weight'))
    throw new FormatError(
      `${path}: this is a half of TAESD, in the layout of its authors, which has a file for the encoder and one for the decoder; take ` +
        'the folder that diffusers reads (config.json, diffusion_pytorch_model.safetensors): --vae FOLDER',
    );
  if (config?._class_name !== 'AutoencoderKL')
    throw new FormatError(
      `${path}: a file holds no configuration, and ${place} has ${config === undefined ? 'no autoencoder' : `an ${String(config._class_name)}`}, ` +
        'whose configuration could stand in; give the folder of an autoencoder instead: --vae FOLDER',
    );
  if (file.names.some((name) => /^(encoder|decoder)\.mid_block\./.test(name))) {
    const template = autoencoderKL(config).init(key(0));
    await checkParameters(template, file, { oldNames: oldAttentionNames });
    return fromFile(path, config, template);
  }
  const prefix = ['', 'vae.', vaePrefix].find((one) => has(`${one}encoder.conv_in.weight`));
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
  return fromFile(path, config, part.template, (one) => partReader(one, part));
}

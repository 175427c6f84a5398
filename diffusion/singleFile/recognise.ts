import { FormatError, type SafetensorsFile } from '../../tensor/index.ts';
import type { SingleFilePrediction } from './knownParts.ts';
import type { Family } from './knownUNets.ts';
import { isBookkeeping, markers, type TextPlace, textPlaces, unetPrefix, vaePrefix } from './layouts.ts';

/** What the keys of a single file tell. */
export interface Recognised {
  readonly family: Family;
  /** Where it has its text encoders. */
  readonly texts: readonly [TextPlace, ...TextPlace[]];
  readonly hasVae: boolean;
  /** Whether the UNet's blocks are numbered with gaps: see `UNetNumbering`. */
  readonly hasGaps: boolean;
  /** Whether it also has the average of the UNet's weights over training. */
  readonly hasEma: boolean;
  /** What marker tensors say; undefined where there are none. */
  readonly prediction: SingleFilePrediction | undefined;
  readonly zeroTerminalSnr: boolean;
}

/** Files that are not checkpoints, by a key that tells. The first that fits counts. */
const others: readonly (readonly [key: RegExp, what: string])[] = [
  [
    /\.lora_(up|down|A|B)\b|\blora_(unet|te\d?)_|\.lora\.(up|down)\.|hada_w1_|\.lokr_w|\.processor\..*lora/,
    'a LoRA, which changes a model and holds none: give it with --lora, beside the model',
  ],
  [/^(control_model\.|controlnet_cond_embedding\.|input_hint_block\.)/, 'a ControlNet, which is not supported'],
  [/^(emb_params$|string_to_param|clip_l$|clip_g$)/, 'an embedding of textual inversion, which is not supported'],
  [
    /^(model\.diffusion_model\.|transformer\.)?(double_blocks|joint_blocks|single_transformer_blocks|transformer_blocks)\.\d+\./,
    'a model whose network is a transformer, such as Stable Diffusion 3 or FLUX; only UNets are supported',
  ],
  [
    /^edm_(mean|std)$|^edm_vpred\./,
    'a model with the noise schedule of EDM, such as Playground 2.5, which is not supported',
  ],
];

/** Models whose UNet takes more than noisy latents, by the channels that it takes. */
const wider: Readonly<Record<number, string>> = {
  5: 'a depth model, whose UNet takes a depth map beside the latents',
  7: 'an upscaler, whose UNet takes a small image beside the latents',
  8: 'an InstructPix2Pix model, whose UNet takes another image beside the latents',
  9: 'an inpainting model, whose UNet takes a mask and an image beside the latents',
};

/** Parts of models on their own, by a key that tells. */
const parts: readonly (readonly [key: RegExp, what: string])[] = [
  [
    /^down_blocks\.\d+\.(resnets|attentions)\./,
    "a UNet alone, with diffusers' names: put it into a folder with its config.json and give that with --unet, beside the model",
  ],
  [/^(model\.diffusion_model\.)?(input_blocks|output_blocks)\.\d+\.\d+\./, 'a UNet alone, without text encoders'],
  [
    /^(first_stage_model\.|vae\.)?(encoder|decoder)\.(down|up|mid|conv_in|down_blocks|up_blocks|layers)\b/,
    'an autoencoder alone: give it with --vae, beside the model',
  ],
  [/^(text_model|transformer\.resblocks|cond_stage_model|conditioner)\./, 'a text encoder alone, without a UNet'],
];

const firstMatch = (table: typeof others, keys: readonly string[]): string | undefined =>
  table.find(([key]) => keys.some((name) => key.test(name)))?.[1];

/** What a file is that should hold something else, as far as its keys tell. */
export function describeOther(keys: readonly string[]): string | undefined {
  if (keys.some((key) => key.startsWith(unetPrefix)))
    return 'a whole checkpoint in the original layout: it is a model itself, and is given with --model';
  return firstMatch([...others, ...parts], keys);
}

/** Why a file without a UNet or without text encoders is no checkpoint. */
function whyNone(keys: readonly string[]): string {
  const found = parts.filter(([key]) => keys.some((name) => key.test(name)));
  const [only, ...more] = found;
  if (only !== undefined && more.length === 0) return `this is ${only[1]}`;
  const seen = `${keys.slice(0, 5).join(', ') || 'none'}${keys.length > 5 ? ', …' : ''}`;
  return (
    `this is no Stable Diffusion checkpoint in the original layout: such files have tensors ${unetPrefix}…, and text encoders as ` +
    `cond_stage_model.… or conditioner.…; this one holds ${keys.length} tensors: ${seen}`
  );
}

/** Where a file has its text encoders, and so of which family it is. */
function textsOf(keys: readonly string[], takesSizes: boolean): Pick<Recognised, 'family' | 'texts'> | undefined {
  const has = (prefix: string): boolean => keys.some((key) => key.startsWith(prefix) && !isBookkeeping(key));
  const [clip, giant] = textPlaces.sdxl as readonly [TextPlace, TextPlace];
  if (takesSizes) {
    if (has(clip.prefix) || has(giant.prefix)) return { family: 'sdxl', texts: textPlaces.sdxl };
    return has(textPlaces.refiner[0].prefix) ? { family: 'refiner', texts: textPlaces.refiner } : undefined;
  }
  // Stability's newer code names the text encoders of all models as those of SDXL.
  for (const prefix of [textPlaces.sd2[0].prefix, textPlaces.refiner[0].prefix])
    if (has(prefix)) return { family: 'sd2', texts: [{ ...textPlaces.sd2[0], prefix }] };
  for (const prefix of [textPlaces.sd1[0].prefix, clip.prefix]) {
    if (!has(prefix)) continue;
    const layout = has(`${prefix}text_model.`) ? 'clip' : 'clip without text_model';
    return { family: 'sd1', texts: [{ ...textPlaces.sd1[0], prefix, layout }] };
  }
  return undefined;
}

/**
 * Tells by keys what a single file in the original layout holds.
 * @throws FormatError that says what the file is instead
 */
export function recognise({ name, names, entries }: Pick<SafetensorsFile, 'name' | 'names' | 'entries'>): Recognised {
  const refuse = (what: string) => new FormatError(`${name}: this is ${what}`);
  const other = firstMatch(others, names);
  if (other !== undefined) throw refuse(other);
  const input = entries.get(`${unetPrefix}input_blocks.0.0.weight`)?.shape;
  const takesSizes = names.some((key) => key.startsWith(`${unetPrefix}label_emb.`));
  const texts = textsOf(names, takesSizes);
  if (input === undefined || texts === undefined) throw new FormatError(`${name}: ${whyNone(names)}`);
  const channels = input[1] ?? 0;
  const special = wider[channels];
  if (special !== undefined) throw refuse(`${special}; it is not supported`);
  return {
    ...texts,
    hasVae: names.some((key) => key.startsWith(vaePrefix)),
    hasGaps:
      entries.has(`${unetPrefix}input_blocks.3.0.op.weight`) &&
      !names.some((key) => key.startsWith(`${unetPrefix}input_blocks.2.`)),
    hasEma: names.some((key) => key.startsWith('model_ema.diffusion_model')),
    prediction: entries.has(markers.prediction) ? 'v_prediction' : undefined,
    zeroTerminalSnr: entries.has(markers.zeroTerminalSnr),
  };
}

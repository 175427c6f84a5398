/** What a tensor of a file of adapters is: A or B of a layer, as the file names it, or the layer's alpha. */
export interface LoraTensorName {
  readonly layer: string;
  readonly part: 'down' | 'up' | 'alpha';
}

const processor = /^(.+)\.processor\.(to_q|to_k|to_v|to_out)_lora\.(down\.weight|up\.weight|alpha)$/;
const textProjection = /^(.+\.self_attn)\.to_(q|k|v|out)_lora\.(down\.weight|up\.weight|alpha)$/;
const others =
  /^(.+)\.(lora_A\.weight|lora_B\.weight|lora\.down\.weight|lora\.up\.weight|lora_linear_layer\.down\.weight|lora_linear_layer\.up\.weight|lora_down\.weight|lora_up\.weight|alpha)$/;

const partOf = (ending: string): LoraTensorName['part'] => {
  if (ending === 'alpha') return 'alpha';
  return ending === 'lora_A.weight' || ending.endsWith('down.weight') ? 'down' : 'up';
};

/**
 * Understands a tensor's name by its end, in the ways that there are: PEFT's `….to_q.lora_A.weight`; diffusers' earlier
 * `….to_q.lora.down.weight` and, of text encoders, `….q_proj.lora_linear_layer.down.weight`; its first,
 * `….processor.to_q_lora.down.weight` and `….self_attn.to_q_lora.down.weight`; and kohya's `….lora_down.weight`.
 */
export function parseLoraName(name: string): LoraTensorName | undefined {
  const [, attention, projection, part] = processor.exec(name) ?? [];
  if (attention !== undefined && part !== undefined)
    return { layer: `${attention}.${projection === 'to_out' ? 'to_out.0' : projection}`, part: partOf(part) };
  const [, self, letter, half] = textProjection.exec(name) ?? [];
  if (self !== undefined && half !== undefined) return { layer: `${self}.${letter}_proj`, part: partOf(half) };
  const [, layer, ending] = others.exec(name) ?? [];
  return layer === undefined || ending === undefined ? undefined : { layer, part: partOf(ending) };
}

/** PEFT's names, which current versions of diffusers write and read. */
export const loraName = (model: string, path: string, part: 'down' | 'up'): string =>
  `${model}.${path}.${part === 'down' ? 'lora_A' : 'lora_B'}.weight`;

/** A layer of one of several models. */
export interface LoraLayer {
  readonly model: string;
  readonly path: string;
}

/** Which layer of which model a file means by a name; undefined where it is none. */
export type LoraLayerOf = (name: string) => LoraLayer | undefined;

/** Layers by their paths, behind the name of their model; those without are the `unet`'s. */
export const dottedLayers =
  (models: readonly string[]): LoraLayerOf =>
  (name) => {
    const [front = ''] = name.split('.');
    if (models.includes(front)) return { model: front, path: name.slice(front.length + 1) };
    return models.includes('unet') ? { model: 'unet', path: name } : undefined;
  };

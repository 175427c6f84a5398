/** What a tensor of a file of adapters is: A or B of the layer at a path, or the layer's alpha. */
export interface LoraTensorName {
  readonly path: string;
  readonly part: 'down' | 'up' | 'alpha';
}

const partOf = (ending: string): LoraTensorName['part'] => {
  if (ending === 'alpha') return 'alpha';
  return ending === 'lora_A.weight' || ending.endsWith('down.weight') ? 'down' : 'up';
};

const first = /^(.+)\.processor\.(to_q|to_k|to_v|to_out)_lora\.(down\.weight|up\.weight|alpha)$/;
const others = /^(.+)\.(lora_A\.weight|lora_B\.weight|lora\.down\.weight|lora\.up\.weight|alpha)$/;

/**
 * Understands a tensor's name, without the name of its model in front, in the three ways that there are: PEFT's
 * `….to_q.lora_A.weight`, diffusers' earlier `….to_q.lora.down.weight`, and its first, `….processor.to_q_lora.down.weight`.
 */
export function parseLoraName(name: string): LoraTensorName | undefined {
  const [, attention, projection, part] = first.exec(name) ?? [];
  if (attention !== undefined && part !== undefined)
    return { path: `${attention}.${projection === 'to_out' ? 'to_out.0' : projection}`, part: partOf(part) };
  const [, path, ending] = others.exec(name) ?? [];
  return path === undefined || ending === undefined ? undefined : { path, part: partOf(ending) };
}

/** PEFT's names, which current versions of diffusers write and read. */
export const loraName = (model: string, path: string, part: 'down' | 'up'): string =>
  `${model}.${path}.${part === 'down' ? 'lora_A' : 'lora_B'}.weight`;

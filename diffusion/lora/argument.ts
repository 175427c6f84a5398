import { TensorError } from '../../tensor/index.ts';

/** A file of LoRA adapters, and how much of what they add counts. */
export interface LoraSource {
  readonly path: string;
  /** A factor of alpha/r·B·A; 1 is the usual one. */
  readonly scale: number;
}

const scaled = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/s;

/**
 * Understands `FILE` and `FILE:scale`, cut at the last colon before a number: so the colon of `C:\style.safetensors` is none.
 * @throws TensorError where there is no file, or where what follows `.safetensors:` is no number
 */
export function loraArgument(text: string): LoraSource {
  const refuse = (why: string) =>
    new TensorError(
      `a LoRA is given as FILE or FILE:scale, such as style.safetensors:0.8; ${JSON.stringify(text)} ${why}`,
    );
  const [, path, number] = scaled.exec(text) ?? [];
  const scale = Number(number ?? 1);
  if (!Number.isFinite(scale)) throw refuse(`has a scale beyond all numbers`);
  if (path !== undefined) return { path, scale };
  const [, after] = /\.safetensors:([^/\\]*)$/i.exec(text) ?? [];
  if (after !== undefined)
    throw refuse(`has ${after === '' ? 'nothing' : JSON.stringify(after)} where its scale should be`);
  if (text === '' || text.startsWith(':')) throw refuse('names no file');
  return { path: text, scale };
}

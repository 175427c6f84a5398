import { readFile } from 'node:fs/promises';
import type { Image } from 'diffusion-dpo/dpo';
import { decode } from 'fast-png';

/** Two art styles, each with an image for every emoji. */
export type Style = 'twemoji' | 'noto';

export interface EmojiItem {
  readonly caption: string;
  readonly category: string;
  readonly subcategory: string;
  readonly codepoints: string;
}

export interface EmojiImages {
  readonly items: readonly EmojiItem[];
  /** [items, 3, size, size], from −1 to 1. */
  readonly values: Float32Array;
  readonly size: number;
}

interface Index {
  readonly size: number;
  readonly columns: number;
  readonly items: readonly EmojiItem[];
}

const file = (name: string): Promise<Buffer> => readFile(new URL(name, import.meta.url));

/** The images of one style, made smaller by means over squares; `keep` chooses among the emoji. */
export async function emojiImages(
  style: Style,
  { size = 16, keep = () => true }: { readonly size?: number; readonly keep?: (item: EmojiItem) => boolean } = {},
): Promise<EmojiImages> {
  const index = JSON.parse((await file('index.json')).toString()) as Index;
  const atlas = decode(await file(`${style}-32.png`));
  const factor = index.size / size;
  if (!Number.isInteger(factor)) throw new Error(`images of ${index.size} pixels cannot be made ${size} pixels wide`);
  const chosen = index.items.flatMap((item, cell) => (keep(item) ? [{ item, cell }] : []));
  const values = new Float32Array(chosen.length * 3 * size * size);
  chosen.forEach(({ cell }, i) => {
    const [left, top] = [(cell % index.columns) * index.size, Math.floor(cell / index.columns) * index.size];
    for (let channel = 0; channel < 3; channel++) {
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          let sum = 0;
          for (let dy = 0; dy < factor; dy++) {
            for (let dx = 0; dx < factor; dx++) {
              const pixel = (top + y * factor + dy) * atlas.width + left + x * factor + dx;
              sum += atlas.data[pixel * atlas.channels + channel] as number;
            }
          }
          values[((i * 3 + channel) * size + y) * size + x] = sum / factor ** 2 / 127.5 - 1;
        }
      }
    }
  });
  return { items: chosen.map(({ item }) => item), values, size };
}

/** Image `i` in 8 bits a channel. A mean of four bytes can lie halfway between two; it is rounded up, as the committed files are. */
export function emojiImage({ values, size }: EmojiImages, i: number): Image {
  const area = size * size;
  const byte = (_: unknown, at: number): number =>
    Math.round(((values[(3 * i + (at % 3)) * area + Math.floor(at / 3)] as number) + 1) * 127.5);
  return { width: size, height: size, data: Uint8Array.from({ length: 3 * area }, byte) };
}

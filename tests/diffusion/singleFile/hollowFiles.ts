import { open } from 'node:fs/promises';
import type { SafetensorsFile, Shape, TensorEntry } from 'diffusion-dpo/tensor';
import { tensorsOf, textPart, unetPart, vaePart } from '../../../diffusion/singleFile/fileParts.ts';
import { knownTexts, knownVaes } from '../../../diffusion/singleFile/knownParts.ts';
import { textPlaces } from '../../../diffusion/singleFile/layouts.ts';
import { knownUNet } from './fullLayouts.ts';

/** The tensors of a published checkpoint by the name of its UNet, in its real widths. */
export function publishedTensors(name: string): Map<string, Shape> {
  const { family, config } = knownUNet(name);
  const texts = textPlaces[family].map((place, i) => textPart(knownTexts[family][i] ?? knownTexts[family][0], place));
  return new Map(tensorsOf([unetPart(config), vaePart(knownVaes[family]), ...texts]));
}

/** What is read of a file before its data, for tensors of these shapes. */
export const hollow = (shapes: ReadonlyMap<string, Shape>): Pick<SafetensorsFile, 'name' | 'names' | 'entries'> => ({
  name: 'model.safetensors',
  names: [...shapes.keys()],
  entries: new Map(
    [...shapes].map(([name, shape]): [string, TensorEntry] => [
      name,
      { dtype: 'F16', shape, offset: 0, byteLength: 0 },
    ]),
  ),
});

/** Writes a file whose header is that of tensors of a dtype, and whose data is a hole: it takes no room on the disk. */
export async function writeHollow(
  path: string,
  shapes: ReadonlyMap<string, Shape>,
  dtype: 'F16' | 'F8_E4M3' = 'F16',
): Promise<void> {
  let offset = 0;
  const bytes = dtype === 'F16' ? 2 : 1;
  const header = Object.fromEntries(
    [...shapes].map(([name, shape]) => {
      const begin = offset;
      offset += bytes * shape.reduce((a, b) => a * b, 1);
      return [name, { dtype, shape, data_offsets: [begin, offset] }];
    }),
  );
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + json.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(json.length), true);
  start.set(json, 8);
  const file = await open(path, 'w');
  await file.write(start);
  await file.truncate(start.length + offset);
  await file.close();
}

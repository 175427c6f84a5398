import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Image, prepareImage } from 'diffusion-dpo/dpo';
import { openDevice, read, setDefaultDevice, type Tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { resizeWindow } from '../../../dpo/data/resize.ts';
import { readArchive } from '../../goldenRunner/archive.ts';
import { pattern } from './samples.ts';

// The bilinear cases of what Pillow 9.4 and torchvision 0.14 give; the other filters are not those of training.
setDefaultDevice(await openDevice('reference'));
const folder = fileURLToPath(new URL('../../golden/preprocess/', import.meta.url));
interface Case {
  readonly name: string;
  readonly image: string;
  readonly filter: string;
}
interface Resized extends Case {
  readonly width: number;
  readonly height: number;
}
interface Cropped extends Case {
  readonly size: number;
  readonly crop: number;
  readonly crop_top_left: readonly [number, number] | null;
  readonly random_crop_top_left?: readonly [number, number];
}
async function load<T extends Case>(
  name: string,
): Promise<{ readonly cases: readonly T[]; tensors: Map<string, Tensor> }> {
  const { cases } = JSON.parse(await readFile(`${folder}${name}.json`, 'utf8')) as { readonly cases: readonly T[] };
  const bilinear = cases.filter(({ filter }) => filter === 'bilinear');
  return { cases: bilinear, tensors: await readArchive(`${folder}${name}.safetensors`) };
}
const resizing = await load<Resized>('resize');
const cropping = await load<Cropped>('shorter_side_crop');

async function valuesOf({ tensors }: { readonly tensors: Map<string, Tensor> }, name: string) {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`there is no tensor ${name}`);
  return { shape: tensor.shape as readonly [number, number, number], values: [...(await read(tensor))].map(Number) };
}
async function imageOf(data: { readonly tensors: Map<string, Tensor> }, name: string): Promise<Image> {
  const { shape, values } = await valuesOf(data, `image.${name}`);
  return { height: shape[0], width: shape[1], data: Uint8Array.from(values) };
}

/** Pixels [height, width, 3] of planes [3, height, width]. */
const interleaved = (planes: Float32Array): number[] =>
  Array.from(planes, (_, i) => planes[(i % 3) * (planes.length / 3) + Math.floor(i / 3)] as number);
const bytesOf = (values: Float32Array): number[] => interleaved(values).map((value) => Math.round((value + 1) * 127.5));

describe('resizing', () => {
  test.each(resizing.cases)('$name gives the bytes of Pillow', async ({ name, image, width, height }) => {
    const window = { width, height, top: 0, left: 0, rows: height, columns: width };
    const planes = resizeWindow(await imageOf(resizing, image), window);
    expect(interleaved(planes)).toEqual((await valuesOf(resizing, `${name}.out`)).values);
  });
});

describe('covering and cropping', () => {
  const applicable = cropping.cases.filter(({ size, crop }) => size === crop);
  test.each(applicable)('$name gives the bytes and the places of torchvision', async (one) => {
    const of = (what: string) => valuesOf(cropping, `${one.name}.${what}`);
    const image = await imageOf(cropping, one.image);
    const { shape } = await of('resized');
    const centred = prepareImage(image, [one.crop, one.crop], { across: 0.5, down: 0.5, flip: false });
    expect(centred.timeIds.slice(2, 4)).toEqual(one.crop_top_left);
    expect(bytesOf(centred.values)).toEqual((await of('cropped')).values);
    // The reference mirrors what is cropped before it makes a tensor of it.
    (await of('tensor')).values.forEach((value, i) => {
      const mirrored = centred.values[i - (i % one.crop) + one.crop - 1 - (i % one.crop)] as number;
      expect(Math.abs(value - mirrored)).toBeLessThan(1e-6);
    });
    const [top, left] = one.random_crop_top_left ?? [0, 0];
    const at = (start: number, side: number) => (start + 0.25) / (side - one.crop + 1);
    const transform = { across: at(left, shape[1]), down: at(top, shape[0]), flip: false };
    const random = prepareImage(image, [one.crop, one.crop], transform);
    expect(random.timeIds.slice(2, 4)).toEqual([top, left]);
    expect(bytesOf(random.values)).toEqual((await of('random_crop')).values);
  });

  test.each([
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 2],
    [5, 2],
    [7, 4],
    [9, 4],
  ])('a margin of %i is cut from %i on in the middle', (margin, start) => {
    const centred = { across: 0.5, down: 0.5, flip: false };
    expect(prepareImage(pattern(1, 4 + margin, 4), [4, 4], centred).timeIds.slice(2, 4)).toEqual([0, start]);
    expect(prepareImage(pattern(1, 4, 4 + margin), [4, 4], centred).timeIds.slice(2, 4)).toEqual([start, 0]);
  });

  test('the longer side is cut, not rounded, and multiplied before it is divided', () => {
    const lastLeft = (width: number, height: number, size: number) =>
      prepareImage(pattern(1, width, height), [size, size], { across: 0.9999, down: 0.5, flip: false }).timeIds[3] +
      size;
    for (const [width, height, size] of [
      [29, 16, 15],
      [49, 7, 1],
      [30, 20, 9],
      [35, 25, 15],
      [171, 57, 19],
    ] as const)
      expect(lastLeft(width, height, size)).toBe(Math.trunc((size * width) / height));
    // 30/22 · 11 is below 15 in floating point.
    for (const [width, height] of [
      [30, 22],
      [45, 33],
      [60, 44],
    ] as const)
      expect(lastLeft(width, height, 11)).toBe(15);
  });

  test('an image whose shorter side fits is not resized', () => {
    const image = pattern(3, 13, 8);
    const { values } = prepareImage(image, [8, 8], { across: 0, down: 0, flip: false });
    const kept = Array.from({ length: 64 }, (_, i) =>
      [0, 1, 2].map((c) => image.data[(Math.floor(i / 8) * 13 + (i % 8)) * 3 + c]),
    );
    expect(bytesOf(values)).toEqual(kept.flat());
  });
});

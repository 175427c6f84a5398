import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { Transformer } from '@napi-rs/image';
import { encodePng } from 'diffusion-dpo/dpo';
import { decodeImage } from 'diffusion-dpo/dpo/node';
import { describe, expect, test } from 'vitest';
import { pattern } from './samples.ts';

const cases = new URL('./cases/', import.meta.url);
const given: Record<string, { width: number; height: number; tolerance: number; pixels: number[] }> = JSON.parse(
  await readFile(new URL('images.json', cases), 'utf8'),
);

/** Exif data with one entry, the orientation, in either byte order. */
function tiff(orientation: number, { type = 3, big = false, count = 1 } = {}): number[] {
  const short = (n: number) => (big ? [n >> 8, n & 255] : [n & 255, n >> 8]);
  const long = (n: number) =>
    big ? [...short(n >> 16), ...short(n & 65535)] : [...short(n & 65535), ...short(n >> 16)];
  const value = type === 3 ? [...short(orientation), 0, 0] : long(orientation);
  return [
    ...(big ? [0x4d, 0x4d] : [0x49, 0x49]),
    ...short(42),
    ...long(8),
    ...short(1),
    ...short(274),
    ...short(type),
    ...long(count),
    ...value,
    ...long(0),
  ];
}

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
const segment = (marker: number, content: readonly number[]): number[] => [
  0xff,
  marker,
  (content.length + 2) >> 8,
  (content.length + 2) & 255,
  ...content,
];
const exifSegment = (exif: readonly number[]): number[] => segment(0xe1, [...ascii('Exif'), 0, 0, ...exif]);

const image = pattern(5, 16, 8);
const rgba = Uint8Array.from({ length: 16 * 8 * 4 }, (_, i) =>
  i % 4 === 3 ? 255 : (image.data[Math.floor(i / 4) * 3 + (i % 4)] as number),
);
const jpeg = new Uint8Array(await Transformer.fromRgbaPixels(rgba, 16, 8).jpeg(100));
const inJpeg = (...segments: readonly (readonly number[])[]) =>
  Uint8Array.from([0xff, 0xd8, ...segments.flat(), ...jpeg.subarray(2)]);
const upright = await decodeImage(jpeg, 'upright');

function inPng(exif: readonly number[]): Uint8Array {
  const png = encodePng(image);
  // The chunk's checksum is not looked at.
  return Uint8Array.of(
    ...png.subarray(0, 33),
    0,
    0,
    0,
    exif.length,
    ...ascii('eXIf'),
    ...exif,
    0,
    0,
    0,
    0,
    ...png.subarray(33),
  );
}

async function inWebp(exif: readonly number[]): Promise<Uint8Array> {
  const webp = new Uint8Array(await Transformer.fromRgbaPixels(rgba, 16, 8).webpLossless());
  const extended = [...ascii('VP8X'), 10, 0, 0, 0, 8, 0, 0, 0, 15, 0, 0, 7, 0, 0];
  const chunk = [...ascii('EXIF'), exif.length, 0, 0, 0, ...exif, ...(exif.length % 2 ? [0] : [])];
  const body = [...ascii('WEBP'), ...extended, ...webp.subarray(12), ...chunk];
  const size = [body.length & 255, (body.length >> 8) & 255, body.length >> 16, 0];
  return Uint8Array.of(...ascii('RIFF'), ...size, ...body);
}

/** Where the pixel at (x, y) of an upright image is stored, by Exif's definition of each orientation. */
const stored = (orientation: number, x: number, y: number, width: number, height: number): [number, number] =>
  (
    ({
      1: [x, y],
      2: [width - 1 - x, y],
      3: [width - 1 - x, height - 1 - y],
      4: [x, height - 1 - y],
      5: [y, x],
      6: [y, width - 1 - x],
      7: [height - 1 - y, width - 1 - x],
      8: [height - 1 - y, x],
    }) as Record<number, [number, number]>
  )[orientation] as [number, number];

describe('Exif orientation', () => {
  test.each(Object.keys(given))('%s is turned as Pillow turns it', async (name) => {
    const { width, height, tolerance, pixels } = given[name] as (typeof given)[string];
    const decoded = await decodeImage(new Uint8Array(await readFile(new URL(name, cases))), name);
    expect([decoded.width, decoded.height]).toEqual([width, height]);
    expect(Math.max(...pixels.map((value, i) => Math.abs(value - (decoded.data[i] as number))))).toBeLessThanOrEqual(
      tolerance,
    );
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    '%i moves each pixel as the standard says, in all three formats',
    async (orientation) => {
      const exif = tiff(orientation);
      for (const [name, file, source] of [
        ['JPEG', inJpeg(exifSegment(exif)), upright],
        ['PNG', inPng(exif), image],
        ['WebP', await inWebp(exif), image],
      ] as const) {
        const { width, height, data } = await decodeImage(file, name);
        expect([width, height], name).toEqual(orientation >= 5 ? [8, 16] : [16, 8]);
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++) {
            const [column, row] = stored(orientation, x, y, width, height);
            const from = (row * 16 + column) * 3;
            expect([...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)]).toEqual([
              ...source.data.subarray(from, from + 3),
            ]);
          }
      }
    },
  );

  test.each([
    ['XMP', segment(0xe1, [...ascii('http://ns.adobe.com/xap/1.0/'), 0, ...ascii('<x/>')])],
    ['an ICC profile', segment(0xe2, [...ascii('ICC_PROFILE'), 0, 1, 1, ...new Array(3000).fill(7)])],
    ['a comment', segment(0xfe, ascii('Exif, and FF E1 to come'))],
    ['fill bytes', [0xff, 0xff]],
    ['many long segments', new Array(3).fill(segment(0xe2, new Array(65000).fill(0xff))).flat()],
  ])('is found behind %s, in both byte orders and of type LONG', async (_, before) => {
    for (const exif of [tiff(6), tiff(6, { big: true }), tiff(6, { type: 4 }), tiff(6, { type: 4, big: true })])
      expect((await decodeImage(inJpeg(before, exifSegment(exif)), 'x')).width).toBe(8);
  });

  test('is found in PNG and WebP behind a mark as JPEG has it', async () => {
    const marked = [...ascii('Exif'), 0, 0, ...tiff(8)];
    expect((await decodeImage(inPng(marked), 'x')).width).toBe(8);
    expect((await decodeImage(await inWebp(marked), 'x')).width).toBe(8);
  });

  test.each([
    ['0', tiff(0)],
    ['9', tiff(9)],
    ['a large LONG', tiff(2 ** 30 + 6, { type: 4 })],
    ['text', tiff(6, { type: 2 })],
    ['many values', tiff(6, { count: 2 ** 31 - 1 })],
    ['cut short', tiff(6).slice(0, 18)],
    ['no Exif', ascii('nothing of the kind')],
    ['nothing', []],
  ])('is ignored where it is %s', async (_, exif) => {
    for (const file of [inJpeg(exifSegment(exif)), inPng(exif), await inWebp(exif)])
      expect((await decodeImage(file, 'x')).width).toBe(16);
  });
});

test('nothing is printed of Exif data that are unusual', () => {
  const file = new URL('exif-8-long.jpg', cases).pathname;
  const program = `import { readImage } from '${new URL('../../../dpo/data/decodeImage.node.ts', import.meta.url)}';
    await readImage(process.argv[1]);`;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', program, file],
    { encoding: 'utf8' },
  );
  expect({ stdout, stderr, status }).toEqual({ stdout: '', stderr: '', status: 0 });
});

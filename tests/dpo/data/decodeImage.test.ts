import { Transformer } from '@napi-rs/image';
import { encodePng, ImageError } from 'diffusion-dpo/dpo';
import { decodeImage, readImage } from 'diffusion-dpo/dpo/node';
import { encode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { pattern, plain, temporaryFolder, writeFiles } from './samples.ts';

const folder = await temporaryFolder();
const image = pattern(3, 20, 14);
const png = encodePng(image);
const rgba = (p = image) => {
  const pixels = new Uint8Array(p.width * p.height * 4).fill(255);
  for (let i = 0; i < p.data.length; i++) pixels[Math.floor(i / 3) * 4 + (i % 3)] = p.data[i] as number;
  return Transformer.fromRgbaPixels(pixels, p.width, p.height);
};
const jpeg = new Uint8Array(await rgba(plain(77, 24, 10)).jpeg(95));
const webp = new Uint8Array(await rgba().webpLossless());
const lossyWebp = new Uint8Array(await rgba(plain(200, 9, 9)).webp(90));

describe('decodeImage', () => {
  test('gives the pixels of PNG and of lossless WebP exactly', async () => {
    expect(await decodeImage(png, 'a.png')).toMatchObject({ width: 20, height: 14 });
    expect([...(await decodeImage(png, 'a.png')).data]).toEqual([...image.data]);
    expect([...(await decodeImage(webp, 'a.webp')).data]).toEqual([...image.data]);
  });

  test('gives the pixels of JPEG and of WebP with loss nearly', async () => {
    const decoded = await decodeImage(jpeg, 'a.jpg');
    expect([decoded.width, decoded.height, decoded.data.length]).toEqual([24, 10, 720]);
    expect(Math.max(...decoded.data.map((value) => Math.abs(value - 77)))).toBeLessThanOrEqual(2);
    const other = await decodeImage(lossyWebp, 'a.webp');
    expect(Math.max(...other.data.map((value) => Math.abs(value - 200)))).toBeLessThanOrEqual(4);
  });

  test('lays what is transparent on white', async () => {
    const data = Uint8Array.of(255, 0, 0, 0, 0, 200, 0, 255, 0, 0, 0, 51);
    const decoded = await decodeImage(encode({ width: 3, height: 1, data, channels: 4 }), 'a.png');
    expect([...decoded.data]).toEqual([255, 255, 255, 0, 200, 0, 204, 204, 204]);
    const grey = await decodeImage(
      encode({ width: 2, height: 1, data: Uint8Array.of(10, 255, 10, 0), channels: 2 }),
      'g',
    );
    expect([...grey.data]).toEqual([10, 10, 10, 255, 255, 255]);
  });

  test('makes grey and 16-bit images RGB of 8 bits', async () => {
    const grey = encode({ width: 2, height: 1, data: Uint8Array.of(7, 250), channels: 1 });
    expect([...(await decodeImage(grey, 'a')).data]).toEqual([7, 7, 7, 250, 250, 250]);
    const deep = encode({ width: 1, height: 1, data: Uint16Array.of(65535, 257 * 9, 0), channels: 3, depth: 16 });
    expect([...(await decodeImage(deep, 'a')).data]).toEqual([255, 9, 0]);
  });

  test.each([1, 3, 6, 8] as const)('turns a photograph as its orientation %i says', async (orientation) => {
    // Left half black, right half white; 16 × 8.
    const data = Uint8Array.from({ length: 16 * 8 * 3 }, (_, i) => (Math.floor(i / 3) % 16 < 8 ? 0 : 255));
    const plainJpeg = new Uint8Array(await rgba({ width: 16, height: 8, data }).jpeg(95));
    // Exif in a segment APP1: a TIFF header and one entry, the orientation.
    const entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    const tiff = [0x49, 0x49, 0x2a, 0, 8, 0, 0, 0, 1, 0, ...entry, 0, 0, 0, 0];
    const exif = [...'Exif'].map((letter) => letter.charCodeAt(0)).concat(0, 0, tiff);
    const turned = Uint8Array.of(0xff, 0xd8, 0xff, 0xe1, 0, exif.length + 2, ...exif, ...plainJpeg.subarray(2));
    const { width, height, data: pixels } = await decodeImage(turned, 'a.jpg');
    const isDark = (x: number, y: number) => (pixels[(y * width + x) * 3] as number) < 128;
    expect([width, height]).toEqual(orientation >= 5 ? [8, 16] : [16, 8]);
    const dark = { 1: [1, 4], 3: [14, 4], 6: [4, 1], 8: [4, 14] }[orientation] as [number, number];
    expect(isDark(...dark)).toBe(true);
    expect(isDark(width - 1 - dark[0], height - 1 - dark[1])).toBe(false);
  });

  test.each([
    ['nothing', new Uint8Array(0), 'no bytes'],
    ['a web page', new TextEncoder().encode('<html><body>404</body></html>'), '"<html><body>"'],
    ['other bytes', Uint8Array.of(1, 2, 3), '01 02 03'],
    ['a GIF', new TextEncoder().encode('GIF89a\x01'), 'no JPEG, PNG or WebP'],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(decodeImage(bytes, 'x.jpg')).rejects.toThrow(ImageError);
    await expect(decodeImage(bytes, 'x.jpg')).rejects.toThrow(message);
    await expect(decodeImage(bytes, 'x.jpg')).rejects.toThrow('x.jpg: ');
  });

  test.each([
    ['JPEG', jpeg],
    ['PNG', png],
    ['WebP', webp],
    ['WebP with loss', lossyWebp],
  ])('refuses a %s that is cut short anywhere', async (_, bytes) => {
    const step = Math.max(1, Math.floor(bytes.length / 40));
    for (let length = bytes.length - 1; length > 0; length -= step)
      await expect(decodeImage(bytes.subarray(0, length), 'cut'), `${length} bytes`).rejects.toThrow(ImageError);
  });

  test('refuses a PNG with wrong bytes in the middle', async () => {
    const broken = png.slice();
    broken.fill(0x5a, broken.length >> 1, (broken.length >> 1) + 20);
    await expect(decodeImage(broken, 'b.png')).rejects.toThrow('b.png: the PNG is broken');
  });

  test('refuses a PNG that claims a size meant to exhaust memory', async () => {
    const bomb = png.slice();
    new DataView(bomb.buffer, bomb.byteOffset).setUint32(16, 100_000);
    new DataView(bomb.buffer, bomb.byteOffset).setUint32(20, 100_000);
    await expect(decodeImage(bomb, 'b.png')).rejects.toThrow(ImageError);
  });

  test('a thumbnail within a JPEG does not pass for its end', async () => {
    const thumbnail = [0xff, 0xd8, 0xff, 0xd9];
    const segment = [0xff, 0xe2, 0, thumbnail.length + 2, ...thumbnail];
    const withThumbnail = Uint8Array.of(0xff, 0xd8, ...segment, ...jpeg.subarray(2));
    expect((await decodeImage(withThumbnail, 't.jpg')).width).toBe(24);
    await expect(decodeImage(withThumbnail.subarray(0, -2), 't.jpg')).rejects.toThrow('cut short');
  });
});

describe('readImage', () => {
  test('reads a file, and says which could not be read', async () => {
    await writeFiles(folder, { 'a.png': image, 'folder/b.png': image });
    expect((await readImage(`${folder}/a.png`)).width).toBe(20);
    await expect(readImage(`${folder}/c.png`)).rejects.toThrow('c.png: there is no such file');
    await expect(readImage(`${folder}/c.png`, 'x.jsonl, line 3')).rejects.toThrow('x.jsonl, line 3');
    await expect(readImage(`${folder}/folder`)).rejects.toThrow('it is a folder');
  });
});

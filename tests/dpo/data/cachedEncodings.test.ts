import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type PairBatch, pairBatches } from 'diffusion-dpo/dpo';
import { cachedEncodings, type EncodingOptions } from 'diffusion-dpo/dpo/node';
import { describe, expect, test } from 'vitest';
import { pairsInMemory, take, temporaryFolder } from './samples.ts';

const folder = await temporaryFolder();
const options = { size: 4, crop: 'center', flip: false, captionDropout: 0, batchSize: 3, seed: 1 } as const;
const batches = (count: number) => pairBatches(pairsInMemory(count), options);

/** The mean of each image, four times; tells how many images it was given. */
function meanEncoder(name: string, given: number[]): EncodingOptions {
  return {
    folder: join(folder, 'cache'),
    encoder: name,
    encodedShape: [1, 2, 2],
    encode: async (images, [n, ...rest]) => {
      given.push(n);
      expect(rest).toEqual([3, 4, 4]);
      expect(images).toHaveLength(n * 48);
      return Float32Array.from({ length: n * 4 }, (_, i) => images[Math.floor(i / 4) * 48] as number);
    },
  };
}

const files = async () =>
  (await readdir(join(folder, 'cache'), { recursive: true })).filter((name) => name.endsWith('.f32'));

describe('cachedEncodings', () => {
  test('puts encodings in the place of images and encodes each image once, also in later runs', async () => {
    const given: number[] = [];
    const [plainFirst] = (await take(batches(6), 1)) as [PairBatch];
    const encoded = await take(cachedEncodings(batches(6), meanEncoder('mean', given)), 4);
    // Two batches are an epoch of six pairs; the next epoch asks for nothing.
    expect(given).toEqual([6, 6]);
    const [first] = encoded as [PairBatch];
    expect(first).toMatchObject({ captions: plainFirst.captions, shape: [3, 1, 2, 2], next: plainFirst.next });
    for (const side of ['winner', 'loser'] as const)
      expect([...first[side]]).toEqual(Array.from({ length: 12 }, (_, i) => plainFirst[side][Math.floor(i / 4) * 48]));
    const again = await take(cachedEncodings(batches(6), meanEncoder('mean', given)), 4);
    expect(given).toHaveLength(2);
    expect(again).toEqual(encoded);
    expect(await files()).toHaveLength(12);
  });

  test('another encoder has its own, and a file of a wrong length is made again', async () => {
    const given: number[] = [];
    const [batch] = await take(cachedEncodings(batches(3), meanEncoder('other', given)), 1);
    expect(given).toEqual([6]);
    for (const name of (await files()).slice(0, 18)) await writeFile(join(folder, 'cache', name), 'short');
    const [again] = await take(cachedEncodings(batches(3), meanEncoder('other', given)), 1);
    expect(given).toEqual([6, 6]);
    expect(again).toEqual(batch);
  });

  test('equal images are encoded once', async () => {
    const given: number[] = [];
    const memory = pairsInMemory(3);
    const same = { ...memory, read: async () => ({ ...(await memory.read(1)), loser: (await memory.read(1)).winner }) };
    await take(cachedEncodings(pairBatches(same, options), meanEncoder('same', given)), 1);
    expect(given).toEqual([1]);
  });

  test('an encoder that gives another number of values is refused', async () => {
    const wrong = { ...meanEncoder('wrong', []), encode: async () => new Float32Array(5) };
    await expect(take(cachedEncodings(batches(3), wrong), 1)).rejects.toThrow(
      /wrong must return .*6.*24 numbers, but returned 5/,
    );
  });
});

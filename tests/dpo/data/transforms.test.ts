import {
  contactSheet,
  drawTransforms,
  type PairBatchOptions,
  type PreprocessOptions,
  pairBatches,
} from 'diffusion-dpo/dpo';
import { describe, expect, test } from 'vitest';
import { foldKey, hostKey } from '../../../dpo/data/draws.ts';
import { gridPng } from '../../../dpo/data/imageGrid.ts';
import { pairsInMemory, pattern, take } from './samples.ts';

describe('what is drawn for a pair', () => {
  const options: PreprocessOptions = { size: 8, crop: 'random', flip: true, captionDropout: 0.5 };
  const drawn = Array.from({ length: 2000 }, (_, i) => drawTransforms(foldKey(hostKey(2), i), options));
  type Drawn = (typeof drawn)[number];
  const facts: Readonly<Record<string, (one: Drawn) => boolean>> = {
    'on the left': ({ winner }) => winner.across < 0.5,
    'at the top': ({ winner }) => winner.down < 0.5,
    mirrored: ({ winner }) => winner.flip,
    'without caption': ({ dropCaption }) => dropCaption,
  };

  test.each(Object.keys(facts))('is %s in half of the pairs, whatever else is drawn', (name) => {
    const fact = facts[name] as (one: Drawn) => boolean;
    // Standard deviations: 0.011 of 2000, 0.016 of a half of them.
    expect(Math.abs(drawn.filter(fact).length / drawn.length - 0.5)).toBeLessThan(0.05);
    for (const [other, isOther] of Object.entries(facts)) {
      if (other === name) continue;
      const some = drawn.filter(isOther);
      expect(Math.abs(some.filter(fact).length / some.length - 0.5), other).toBeLessThan(0.07);
    }
  });

  test('lies anywhere, down as across', () => {
    for (const axis of ['across', 'down'] as const)
      for (let quarter = 0; quarter < 4; quarter++) {
        const share = drawn.filter(({ winner }) => Math.floor(4 * winner[axis]) === quarter).length / drawn.length;
        expect(Math.abs(share - 0.25)).toBeLessThan(0.05);
      }
  });
});

describe('batches', () => {
  const options: PairBatchOptions = {
    ...{ size: 4, crop: 'random', flip: true, captionDropout: 0, batchSize: 12, seed: 3 },
    independentTransforms: true,
  };
  const memory = pairsInMemory(12, 4);
  // Winners are wide and losers tall, so that crops differ across and down.
  const source = {
    ...memory,
    read: async (i: number) => ({ ...(await memory.read(i)), winner: pattern(i, 20, 4), loser: pattern(i, 5, 30) }),
  };

  /** What the rows of an epoch are cropped to, in the order of rows, whatever order they come in. */
  async function crops(seed: number, epoch: number) {
    const [batch] = await take(pairBatches(source, { ...options, seed, from: { epoch, index: 0 } }), 1);
    const rows = batch?.captions.map((caption, i) => ({
      row: Number(caption.slice(5)),
      winner: batch.winnerTimeIds[i],
      loser: batch.loserTimeIds[i],
      pixels: [...batch.winner.subarray(i * 48, i * 48 + 48)],
    }));
    return rows?.sort((a, b) => a.row - b.row) ?? [];
  }

  test('have other crops and flips in each epoch, for each row and seed', async () => {
    const [first, next, other] = [await crops(3, 0), await crops(3, 1), await crops(4, 0)];
    expect(await crops(3, 0)).toEqual(first);
    const equal = (rows: typeof first) =>
      rows.filter(({ winner }, i) => String(winner) === String(first[i]?.winner)).length;
    expect(equal(next)).toBeLessThan(6);
    expect(equal(other)).toBeLessThan(6);
    expect(new Set(first.map(({ winner }) => String(winner))).size).toBeGreaterThan(5);
  });

  test('tell the size and crop of each side', async () => {
    const rows = await crops(3, 0);
    for (const { winner, loser } of rows) {
      expect(winner).toEqual([4, 20, 0, expect.any(Number), 4, 4]);
      expect(loser).toEqual([30, 5, expect.any(Number), 0, 4, 4]);
    }
    expect(new Set(rows.map(({ loser }) => loser?.[2])).size).toBeGreaterThan(4);
  });

  test('have the rows of each group in an order of its own', async () => {
    const [batch] = await take(pairBatches(pairsInMemory(60, 6), { ...options, batchSize: 60 }), 1);
    const rows = (batch?.captions ?? []).map((caption) => Number(caption.slice(5)) % 6);
    const orders = Array.from({ length: 10 }, (_, i) => rows.slice(6 * i, 6 * i + 6).join());
    expect(new Set(orders).size).toBeGreaterThan(7);
  });
});

test('batches that take more memory than there is are refused with the values', async () => {
  const options = { crop: 'center', flip: false, captionDropout: 0, seed: 0 } as const;
  for (const [size, batchSize] of [
    [100_000, 1],
    [64, 1e9],
  ] as const)
    await expect(take(pairBatches(pairsInMemory(3), { ...options, size, batchSize }), 1)).rejects.toThrow(
      new RegExp(`${batchSize} images of ${size} × ${size} are \\d+ numbers, and the most is 1073741824`),
    );
});

test('grids and contact sheets that are larger than an image may be are refused with their size', () => {
  expect(() => gridPng(new Float32Array(3 * 64), { size: [8, 8], zoom: 100_000 })).toThrow(
    'a grid of 1 images, 100000 times as large: an image of 800000 × 800000 pixels cannot be used',
  );
  const [winner, loser] = [pattern(1), pattern(2)];
  expect(() => contactSheet([{ winner, loser }], { cell: 100_000 })).toThrow(
    /contactSheet: an image of 2000\d\d × 1000\d\d/,
  );
});

import { contactSheet, describePairs, inspectPairs } from 'diffusion-dpo/dpo';
import { FormatError } from 'diffusion-dpo/tensor';
import { decode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { pairsInMemory, pattern, plain } from './samples.ts';

describe('inspectPairs', () => {
  const memory = pairsInMemory(10, 10, new Set([4]), FormatError);
  const source = {
    ...memory,
    ties: 3,
    unlabelled: 2,
    async read(i: number) {
      const pair = await memory.read(i);
      return {
        ...pair,
        caption: i === 1 ? '' : i < 5 ? 'same' : `own ${i}`,
        ...(i === 2 ? { loser: pair.winner } : {}),
        ...(i === 3 ? { winner: plain(0, 8, 4) } : {}),
        models: i < 7 ? { winner: 'good', loser: 'bad' } : { winner: 'bad', loser: 'good' },
      };
    },
  };

  test('counts what is there', async () => {
    const progress: number[] = [];
    const summary = await inspectPairs(source, { onPair: (done, of) => progress.push(done / of) });
    expect(summary).toEqual({
      name: 'memory',
      pairs: 10,
      ties: 3,
      unlabelled: 2,
      read: 9,
      captions: { distinct: 7, empty: 1, shortest: 0, mean: (3 * 4 + 5 * 5) / 9, longest: 5 },
      sizes: [
        { width: 4, height: 4, count: 17 },
        { width: 8, height: 4, count: 1 },
      ],
      identical: 1,
      models: [
        { model: 'good', wins: 6, losses: 3 },
        { model: 'bad', wins: 3, losses: 6 },
      ],
      broken: ['memory, row 4: broken'],
    });
    expect(progress).toHaveLength(10);
    expect(progress.at(-1)).toBe(1);
  });

  test('reads no more than asked, evenly spaced', async () => {
    const read: number[] = [];
    const all = pairsInMemory(100);
    await inspectPairs({ ...all, read: (i) => all.read(i).finally(() => read.push(i)) }, { limit: 4 });
    expect(read).toEqual([0, 25, 50, 75]);
    expect(await inspectPairs(pairsInMemory(0))).toMatchObject({
      pairs: 0,
      read: 0,
      captions: { shortest: 0, mean: 0 },
    });
  });

  test('says it for people', async () => {
    const text = describePairs(await inspectPairs(source));
    expect(text).toContain('pairs: 10 with a preference; left out: 3 ties, 2 without a label');
    expect(text).toContain('model good: preferred in 6 of 9 (66.7 %)');
    expect(text).toContain('broken: memory, row 4: broken');
  });

  test('errors of the program are not counted as broken pairs', async () => {
    await expect(inspectPairs(pairsInMemory(3, 3, new Set([1]), TypeError))).rejects.toThrow(TypeError);
  });
});

describe('contactSheet', () => {
  test('shows the preferred image on the left in blue, the other on the right in orange', () => {
    const { width, height, data, channels } = decode(
      contactSheet([{ winner: plain(10), loser: plain(20) }], { cell: 12 }),
    );
    const at = (x: number, y: number) => [...data.subarray((y * width + x) * channels, (y * width + x) * channels + 3)];
    expect([width, height]).toEqual([10 + 2 * 18 + 10, 10 + 18 + 10]);
    expect(at(0, 0)).toEqual([255, 255, 255]);
    expect(at(10, 10)).toEqual([0, 114, 178]);
    expect(at(28, 10)).toEqual([213, 94, 0]);
    expect(at(19, 19)).toEqual([10, 10, 10]);
    expect(at(37, 19)).toEqual([20, 20, 20]);
  });

  test('keeps proportions, enlarges pixels, and makes large images smaller', () => {
    const wide = pattern(1, 4, 2);
    const { width, data } = decode(contactSheet([{ winner: wide, loser: plain(7, 90, 30) }], { cell: 12 }));
    const at = (x: number, y: number) => [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
    // 4 × 2 three times as large is 12 × 6, in the middle of 12 × 12.
    expect(at(13, 13 + 2)).toEqual([255, 255, 255]);
    expect(at(13, 13 + 3)).toEqual([...wide.data.subarray(0, 3)]);
    expect(at(15, 13 + 5)).toEqual([...wide.data.subarray(0, 3)]);
    expect(at(16, 13 + 6)).toEqual([...wide.data.subarray(15, 18)]);
    expect(at(31 + 6, 13 + 6)).toEqual([7, 7, 7]);
    expect(at(31 + 6, 13 + 3)).toEqual([255, 255, 255]);
  });

  test('wraps into columns, and refuses to show nothing', () => {
    const pairs = Array.from({ length: 5 }, () => ({ winner: plain(1), loser: plain(2) }));
    const sheet = decode(contactSheet(pairs, { columns: 2, cell: 4 }));
    expect([sheet.width, sheet.height]).toEqual([10 + 2 * 30, 10 + 3 * 20]);
    expect(() => contactSheet([])).toThrow('no pairs');
  });
});

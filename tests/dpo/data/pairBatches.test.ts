import { type PairBatch, type PairBatchOptions, pairBatches } from 'diffusion-dpo/dpo';
import { FormatError } from 'diffusion-dpo/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { numbered, pairsInMemory, plain, take } from './samples.ts';

const options: PairBatchOptions = {
  size: 2,
  crop: 'center',
  flip: false,
  captionDropout: 0,
  batchSize: 3,
  seed: 1,
};

const rowsOf = (batches: readonly PairBatch[]): number[] =>
  batches.flatMap(({ captions }) => captions.map((caption) => Number(caption.slice(5))));

const plainJson = (batches: readonly PairBatch[]) =>
  batches.map((batch) => ({ ...batch, winner: [...batch.winner], loser: [...batch.loser] }));

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const ascending = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);

const anyStream = fc.record({
  count: fc.integer({ min: 1, max: 23 }),
  groupSize: fc.integer({ min: 1, max: 9 }),
  batchSize: fc.integer({ min: 1, max: 7 }),
  seed: fc.integer({ min: 0, max: 1000 }),
});

describe('the order of pairs', () => {
  test('each epoch is a permutation, and epochs differ', async () => {
    await fc.assert(
      fc.asyncProperty(anyStream, async ({ count, groupSize, batchSize, seed }) => {
        const source = pairsInMemory(count, groupSize);
        const batches = await take(
          pairBatches(source, { ...options, batchSize, seed }),
          Math.ceil((3 * count) / batchSize),
        );
        const rows = rowsOf(batches);
        for (const epoch of [0, 1, 2])
          expect(ascending(rows.slice(epoch * count, (epoch + 1) * count))).toEqual(upTo(count));
      }),
      { numRuns: 40 },
    );
    const rows = rowsOf(await take(pairBatches(pairsInMemory(30), options), 30));
    expect(rows.slice(0, 30)).not.toEqual(rows.slice(30, 60));
    expect(rows.slice(0, 30)).not.toEqual(upTo(30));
  });

  test('a group is finished before the next begins, and groups come in another order each epoch', async () => {
    const rows = rowsOf(await take(pairBatches(pairsInMemory(40, 8), { ...options, batchSize: 8 }), 15));
    const groups = upTo(15).map((i) => new Set(rows.slice(i * 8, i * 8 + 8).map((row) => Math.floor(row / 8))));
    expect(groups.every(({ size }) => size === 1)).toBe(true);
    const orders = [0, 1, 2].map((epoch) =>
      groups
        .slice(epoch * 5, epoch * 5 + 5)
        .map((group) => [...group][0])
        .join(),
    );
    expect(new Set(orders).size).toBe(3);
  });

  test('follows from the seed', async () => {
    const rows = async (seed: number) => rowsOf(await take(pairBatches(pairsInMemory(20), { ...options, seed }), 6));
    expect(await rows(5)).toEqual(await rows(5));
    expect(await rows(5)).not.toEqual(await rows(6));
  });
});

describe('resuming', () => {
  test('from any position gives the rest of the uninterrupted stream', async () => {
    await fc.assert(
      fc.asyncProperty(anyStream, fc.boolean(), async ({ count, groupSize, batchSize, seed }, random) => {
        const transforms = random ? ({ crop: 'random', flip: true, captionDropout: 0.3 } as const) : {};
        const source = pairsInMemory(count, groupSize);
        const all = { ...options, ...transforms, size: [2, 3] as const, batchSize, seed };
        const batches = await take(pairBatches(source, all), 8);
        for (const stop of [0, 3, 6]) {
          const from = JSON.parse(JSON.stringify((batches[stop] as PairBatch).next));
          const rest = await take(pairBatches(source, { ...all, from, prefetch: stop }), 7 - stop);
          expect(plainJson(rest)).toEqual(plainJson(batches.slice(stop + 1)));
        }
      }),
      { numRuns: 25 },
    );
  });

  test('a position tells epoch and rows, and may lie anywhere', async () => {
    const [first, second] = await take(pairBatches(pairsInMemory(5), options), 2);
    expect([first?.next, second?.next]).toEqual([
      { epoch: 0, index: 3 },
      { epoch: 1, index: 1 },
    ]);
    const stream = rowsOf(await take(pairBatches(pairsInMemory(5), options), 10));
    const shifted = rowsOf(await take(pairBatches(pairsInMemory(5), { ...options, from: { epoch: 1, index: 2 } }), 5));
    expect(shifted).toEqual(stream.slice(7, 22));
  });
});

describe('shares', () => {
  test('of any number of ranks partition each step of the one stream', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyStream,
        fc.integer({ min: 1, max: 4 }),
        async ({ count, groupSize, batchSize, seed }, ranks) => {
          const source = pairsInMemory(count, groupSize);
          const one = await take(pairBatches(source, { ...options, seed, batchSize: batchSize * ranks }), 4);
          const shares = await Promise.all(
            upTo(ranks).map((rank) => take(pairBatches(source, { ...options, seed, batchSize, rank, ranks }), 4)),
          );
          one.forEach((batch, step) => {
            const own = shares.map((share) => share[step] as PairBatch);
            for (const { next } of own) expect(next).toEqual(batch.next);
            const woven = upTo(batchSize * ranks).map((i) => own[i % ranks]?.captions[Math.floor(i / ranks)]);
            expect(woven).toEqual(batch.captions);
          });
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('a batch', () => {
  test('holds images and captions of its rows, the preferred ones as winners', async () => {
    const [batch] = (await take(pairBatches(pairsInMemory(9), { ...options, size: 4 }), 1)) as [PairBatch];
    expect(batch.shape).toEqual([3, 3, 4, 4]);
    batch.captions.forEach((caption, i) => {
      const row = Number(caption.slice(5));
      expect(caption).toBe(numbered(row).caption);
      const side = (values: Float32Array) => new Set(values.subarray(i * 48, (i + 1) * 48));
      expect([...side(batch.winner)]).toEqual([Math.fround((2 * row) / 127.5 - 1)]);
      expect([...side(batch.loser)]).toEqual([Math.fround((2 * row + 1) / 127.5 - 1)]);
    });
    expect(batch.winnerTimeIds).toEqual(upTo(3).map(() => [4, 4, 0, 0, 4, 4]));
    expect(batch.skipped).toEqual([]);
  });

  test('has the same transforms on both sides, unless they are independent', async () => {
    // An image that differs everywhere, as both winner and loser.
    const image = { ...plain(0, 16, 12), data: Uint8Array.from({ length: 576 }, (_, i) => (i * 7) % 251) };
    const source = {
      ...pairsInMemory(20),
      read: async (i: number) => ({ caption: `pair ${i}`, winner: image, loser: image, place: '' }),
    };
    const random = { ...options, size: 8, crop: 'random', flip: true, batchSize: 20 } as const;
    const [same] = (await take(pairBatches(source, random), 1)) as [PairBatch];
    expect(same.loser).toEqual(same.winner);
    expect(same.loserTimeIds).toEqual(same.winnerTimeIds);
    expect(new Set(same.winnerTimeIds.map(([, , , left]) => left)).size).toBeGreaterThan(2);
    const [apart] = (await take(pairBatches(source, { ...random, independentTransforms: true }), 1)) as [PairBatch];
    expect(apart.loser).not.toEqual(apart.winner);
    expect(apart.winner).toEqual(same.winner);
    const [again] = (await take(pairBatches(source, { ...random, from: { epoch: 1, index: 0 } }), 1)) as [PairBatch];
    expect(again.winnerTimeIds).not.toEqual(same.winnerTimeIds);
  });

  test('drops captions at the share that was asked for', async () => {
    const batches = await take(pairBatches(pairsInMemory(50), { ...options, captionDropout: 0.25, batchSize: 50 }), 20);
    const dropped = batches.flatMap(({ captions }) => captions).filter((caption) => caption === '').length;
    expect(Math.abs(dropped / 1000 - 0.25)).toBeLessThan(0.05);
  });
});

describe('rows that cannot be read', () => {
  const broken = new Set([2, 5]);

  test('are told and skipped: the next of the stream takes the place', async () => {
    const whole = rowsOf(await take(pairBatches(pairsInMemory(12), { ...options, batchSize: 12 }), 1));
    const source = pairsInMemory(12, 12, broken, FormatError);
    const [batch] = (await take(pairBatches(source, { ...options, batchSize: 12 }), 1)) as [PairBatch];
    const stream = [
      ...whole,
      ...rowsOf(await take(pairBatches(pairsInMemory(12), { ...options, batchSize: 12 }), 2)).slice(12),
    ];
    expect(rowsOf([batch])).toEqual(whole.map((_, i) => stream.slice(i).find((row) => !broken.has(row))));
    expect(ascending(batch.skipped.map((message) => Number(message.match(/\d+/)?.[0])))).toEqual([2, 5]);
  });

  test('count once across the end of an epoch, whatever the seed', async () => {
    for (let seed = 0; seed < 20; seed++) {
      for (const [count, bad] of [
        [2, [1]],
        [3, [0, 2]],
        [5, [0, 1, 3, 4]],
      ] as const) {
        const source = pairsInMemory(count, 2, new Set(bad), FormatError);
        const batches = await take(pairBatches(source, { ...options, batchSize: 2, seed }), 4);
        expect(new Set(rowsOf(batches))).toEqual(new Set(upTo(count).filter((row) => !bad.some((one) => one === row))));
      }
    }
  });

  test('have stand-ins, which are told by their places', async () => {
    const source = pairsInMemory(12, 12, broken, FormatError);
    const whole = rowsOf(await take(pairBatches(pairsInMemory(12), { ...options, batchSize: 12 }), 1));
    const [batch] = (await take(pairBatches(source, { ...options, batchSize: 12 }), 1)) as [PairBatch];
    expect(batch.standIns).toEqual(upTo(12).filter((i) => broken.has(whole[i] as number)));
  });

  test('do not change what resuming gives', async () => {
    const source = pairsInMemory(12, 5, broken, FormatError);
    const batches = await take(pairBatches(source, options), 9);
    for (const stop of [0, 2, 5]) {
      const { next } = batches[stop] as PairBatch;
      const rest = await take(pairBatches(source, { ...options, from: next }), 8 - stop);
      expect(plainJson(rest)).toEqual(plainJson(batches.slice(stop + 1)));
    }
  });

  test('above the limit stop the stream, with their places', async () => {
    const source = pairsInMemory(12, 12, broken, FormatError);
    await expect(take(pairBatches(source, { ...options, maxSkipped: 1 }), 4)).rejects.toThrow(
      /2 rows could not be read, and at most 1 may be skipped[\s\S]*row [25]: broken[\s\S]*row [25]: broken/,
    );
    expect(await take(pairBatches(source, { ...options, maxSkipped: 2 }), 40)).toHaveLength(40);
    const none = pairsInMemory(3, 3, new Set([0, 1, 2]), FormatError);
    await expect(take(pairBatches(none, { ...options, maxSkipped: 100 }), 1)).rejects.toThrow(
      'none of 3 rows can be read',
    );
  });

  test('are not confused with errors of the program', async () => {
    const source = pairsInMemory(12, 12, new Set(upTo(12)), TypeError);
    await expect(take(pairBatches(source, options), 1)).rejects.toThrow(TypeError);
  });
});

describe('preparing ahead', () => {
  test('reads as many batches ahead as asked, and a bounded number of pairs at a time', async () => {
    let [reads, running, most] = [0, 0, 0];
    const memory = pairsInMemory(1000);
    const source = {
      ...memory,
      async read(index: number) {
        reads++;
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 1));
        running--;
        return memory.read(index);
      },
    };
    const stream = pairBatches(source, { ...options, batchSize: 20, prefetch: 1 });
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(reads).toBe(40);
    expect(most).toBeLessThanOrEqual(16);
    await stream.return(undefined);
  });
});

describe('pairBatches refuses', () => {
  test.each([
    ['an empty source', { source: pairsInMemory(0) }, 'holds no pair'],
    ['a batch of none', { batchSize: 0 }, 'batchSize'],
    ['half a batch', { batchSize: 1.5 }, 'batchSize'],
    ['a rank outside', { rank: 2, ranks: 2 }, 'got 2 of 2'],
    ['a position outside', { from: { epoch: 0, index: 9 } }, 'has 9 pairs'],
    ['a negative epoch', { from: { epoch: -1, index: 0 } }, 'position'],
    ['a size of none', { size: 0 }, 'size'],
    ['a share above 1', { captionDropout: 1.5 }, 'captionDropout'],
    ['a negative limit', { maxSkipped: -1 }, 'maxSkipped'],
    ['a negative prefetch', { prefetch: -1 }, 'prefetch'],
    ['a seed that is none', { seed: -1 }, 'seed'],
  ])(
    '%s',
    async (_, {
      source = pairsInMemory(9),
      ...wrong
    }: { source?: ReturnType<typeof pairsInMemory> } & Partial<PairBatchOptions>, message) => {
      await expect(take(pairBatches(source, { ...options, ...wrong }), 1)).rejects.toThrow(message);
    },
  );
});

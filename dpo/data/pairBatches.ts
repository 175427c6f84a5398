import { TensorError } from '../../tensor/index.ts';
import { foldKey } from './draws.ts';
import { mapConcurrently } from './mapConcurrently.ts';
import { advance, type DataPosition, epochKey, shuffledOrder } from './order.ts';
import {
  drawTransforms,
  type PreparedImage,
  type PreprocessOptions,
  prepareImage,
  type TimeIds,
  targetSize,
} from './preprocess.ts';
import { brokenRows, concurrency } from './readable.ts';
import type { PairSource } from './sources.ts';

/** A micro-batch of prepared pairs. */
export interface PairBatch {
  /** The caption of each pair; empty where it was dropped. */
  readonly captions: readonly string[];
  /** Preferred and other images: row-major values of `shape` in [−1, 1]. */
  readonly winner: Float32Array;
  readonly loser: Float32Array;
  /** [pairs, 3, height, width] */
  readonly shape: readonly [number, number, number, number];
  readonly winnerTimeIds: readonly TimeIds[];
  readonly loserTimeIds: readonly TimeIds[];
  /** The position after this batch, to resume from. */
  readonly next: DataPosition;
  /** Messages about the rows that could not be read. */
  readonly skipped: readonly string[];
  /** Indices in the batch of the pairs that replace such rows. */
  readonly standIns: readonly number[];
}

/** Options of `pairBatches`. */
export interface PairBatchOptions extends PreprocessOptions {
  /** Pairs in a batch. */
  readonly batchSize: number;
  /** Seed of order, crops, flips and dropped captions. */
  readonly seed: number;
  /** Position of the first batch; default epoch 0, index 0. */
  readonly from?: DataPosition;
  /** Number of this process, and of processes that share each step; default 0 of 1. `ranks` does not change the stream. */
  readonly rank?: number;
  readonly ranks?: number;
  /** Limit on unreadable rows, which are skipped; default 10. */
  readonly maxSkipped?: number;
  /** Batches that are prepared ahead; default 2. */
  readonly prefetch?: number;
}

/** Limit on the values of one side of a batch: 4 GiB. */
const maxValues = 2 ** 30;

interface PreparedPair {
  readonly caption: string;
  readonly winner: PreparedImage;
  readonly loser: PreparedImage;
}

/**
 * An endless stream of batches, epoch after epoch, each in another order. A batch depends on the seed and its position alone: a
 * stream from a batch's `next` continues that batch's stream. With several `ranks`, a step takes `ranks · batchSize` pairs of one
 * stream, and rank r takes those at r, r + ranks, r + 2·ranks …
 *
 * A row that cannot be read is reported, and replaced by the next readable row of the stream.
 * @throws TensorError for invalid options, and one that names the rows where more than `maxSkipped` cannot be read
 */
export async function* pairBatches(source: PairSource, options: PairBatchOptions): AsyncGenerator<PairBatch> {
  const {
    batchSize,
    seed,
    from = { epoch: 0, index: 0 },
    rank = 0,
    ranks = 1,
    maxSkipped = 10,
    prefetch = 2,
  } = options;
  check(source, options);
  const shape = [batchSize, 3, ...targetSize(options)] as const;
  const values = batchSize * 3 * shape[2] * shape[3];
  if (values > maxValues)
    throw new TensorError(
      `pairBatches: ${batchSize} images of ${shape[2]} × ${shape[3]} are ${values} numbers, and the most is ${maxValues}; take a smaller batchSize or size`,
    );
  const rowAt = shuffledOrder(source.groups, seed);
  /** Messages of unreadable rows, each of which is tried once. */
  const broken = new Map<number, string>();

  async function prepare(position: DataPosition): Promise<PreparedPair | string> {
    const row = rowAt(position);
    const known = broken.get(row);
    if (known !== undefined) return known;
    try {
      const pair = await source.read(row);
      const drawn = drawTransforms(foldKey(epochKey(seed, 'transforms', position.epoch), row), options);
      return {
        caption: drawn.dropCaption ? '' : pair.caption,
        winner: prepareImage(pair.winner, [shape[2], shape[3]], drawn.winner),
        loser: prepareImage(pair.loser, [shape[2], shape[3]], drawn.loser),
      };
    } catch (error) {
      if (!(error instanceof TensorError)) throw error;
      broken.set(row, error.message);
      return error.message;
    }
  }

  /** The pair at a position, or the next readable one. */
  async function readable(position: DataPosition, skipped: string[]): Promise<PreparedPair> {
    // Across the end of an epoch a row may come twice before another comes once; two epochs contain every row.
    for (let ahead = 0; ahead < 2 * source.count; ahead++) {
      const pair = await prepare(advance(position, ahead, source.count));
      if (typeof pair !== 'string') return pair;
      skipped.push(pair);
      if (broken.size > maxSkipped || broken.size === source.count) break;
    }
    throw brokenRows(source, [...broken.values()], maxSkipped);
  }

  async function batchAt(position: DataPosition): Promise<PairBatch> {
    const area = 3 * shape[2] * shape[3];
    const [winner, loser] = [new Float32Array(batchSize * area), new Float32Array(batchSize * area)];
    const slots = Array.from({ length: batchSize }, (_, i) => advance(position, rank + i * ranks, source.count));
    const rows = await mapConcurrently(slots, concurrency, async (slot, i) => {
      const skipped: string[] = [];
      const pair = await readable(slot, skipped);
      winner.set(pair.winner.values, i * area);
      loser.set(pair.loser.values, i * area);
      return { caption: pair.caption, winner: pair.winner.timeIds, loser: pair.loser.timeIds, skipped };
    });
    return {
      captions: rows.map(({ caption }) => caption),
      winner,
      loser,
      shape,
      winnerTimeIds: rows.map((row) => row.winner),
      loserTimeIds: rows.map((row) => row.loser),
      next: advance(position, batchSize * ranks, source.count),
      skipped: [...new Set(rows.flatMap(({ skipped }) => skipped))],
      standIns: rows.flatMap(({ skipped }, i) => (skipped.length > 0 ? [i] : [])),
    };
  }

  const ahead: Promise<PairBatch>[] = [];
  let position = from;
  for (;;) {
    while (ahead.length <= prefetch) {
      const batch = batchAt(position);
      // A failure is thrown where the batch is awaited below.
      batch.catch(() => undefined);
      ahead.push(batch);
      position = advance(position, batchSize * ranks, source.count);
    }
    yield await (ahead.shift() as Promise<PairBatch>);
  }
}

function check(source: PairSource, options: PairBatchOptions): void {
  const { batchSize, from, rank = 0, ranks = 1, maxSkipped = 10, prefetch = 2, captionDropout } = options;
  const refuse = (what: string): never => {
    throw new TensorError(`pairBatches: ${what}`);
  };
  const whole = (value: number, least: number) => Number.isInteger(value) && value >= least;
  if (source.count === 0) refuse(`${source.name} holds no pair with a preference`);
  if (!whole(batchSize, 1)) refuse(`batchSize is a whole number above 0, got ${batchSize}`);
  if (!whole(ranks, 1) || !whole(rank, 0) || rank >= ranks)
    refuse(`rank is one of 0 to ranks − 1, got ${rank} of ${ranks}`);
  if (!whole(prefetch, 0)) refuse(`prefetch is a whole number, got ${prefetch}`);
  if (!(maxSkipped >= 0)) refuse(`maxSkipped is 0 or more, got ${maxSkipped}`);
  if (!(captionDropout >= 0 && captionDropout <= 1)) refuse(`captionDropout lies in [0, 1], got ${captionDropout}`);
  if (from && !(whole(from.epoch, 0) && whole(from.index, 0) && from.index < source.count))
    refuse(
      `${source.name} has ${source.count} pairs, so there is no position ${JSON.stringify(from)}; has it changed?`,
    );
}

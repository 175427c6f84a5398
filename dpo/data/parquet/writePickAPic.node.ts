import { createHash } from 'node:crypto';
import { TensorError } from '../../../tensor/index.ts';
import { hostKey, uniform } from '../draws.ts';
import { encodePng } from '../encodePng.ts';
import type { Image } from '../image.ts';
import { writeParquet } from './writeParquet.node.ts';

/** A pair for `writePickAPic`. */
export interface WrittenPair {
  readonly caption: string;
  readonly winner: Image;
  readonly loser: Image;
  /** True where neither image was preferred. */
  readonly tie?: boolean;
  /** Names of the images' generators. */
  readonly models?: { readonly winner: string; readonly loser: string };
}

/** Options of `writePickAPic`. */
export interface WritePickAPicOptions {
  /** Seed of the order of the two images in a row; default 0. */
  readonly seed?: number;
  /** Rows of a row group, which readers read at once; default 100. */
  readonly rowGroup?: number;
  /** Time of the preferences; default the beginning of 1970, so that equal pairs give equal files. */
  readonly createdAt?: Date;
}

/** The columns of Pick-a-Pic v2 in order. */
const schema = {
  are_different: 'boolean',
  best_image_uid: 'text',
  caption: 'text',
  created_at: 'moment',
  has_label: 'boolean',
  image_0_uid: 'text',
  image_0_url: 'text',
  image_1_uid: 'text',
  image_1_url: 'text',
  jpg_0: 'binary',
  jpg_1: 'binary',
  label_0: 'double',
  label_1: 'double',
  model_0: 'text',
  model_1: 'text',
  ranking_id: 'integer',
  user_id: 'integer',
  num_example_per_prompt: 'integer',
} as const;

type PickAPicRow = Record<keyof typeof schema, unknown>;

/** An identifier derived from content, in the form of Pick-a-Pic's. */
function uidOf(bytes: Uint8Array): string {
  const hex = createHash('sha256').update(bytes).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/**
 * Writes pairs as a Parquet file with the columns of Pick-a-Pic v2; images are stored as PNG.
 * @throws TensorError without pairs, for an invalid rowGroup, or where the file cannot be written
 */
export async function writePickAPic(
  pairs: readonly WrittenPair[],
  file: string,
  { seed = 0, rowGroup = 100, createdAt = new Date(0) }: WritePickAPicOptions = {},
): Promise<void> {
  if (pairs.length === 0) throw new TensorError(`cannot write ${file}: there are no pairs`);
  const key = hostKey(seed);
  const examples = new Map<string, number>();
  for (const { caption } of pairs) examples.set(caption, (examples.get(caption) ?? 0) + 1);

  function rowOf(index: number): PickAPicRow {
    const { caption, winner, loser, tie = false, models } = pairs[index] as WrittenPair;
    const winnerFirst = uniform(key, index) < 0.5;
    const ordered = <T>(ofWinner: T, ofLoser: T): [T, T] => (winnerFirst ? [ofWinner, ofLoser] : [ofLoser, ofWinner]);
    const [jpg0, jpg1] = ordered(encodePng(winner), encodePng(loser));
    const [uid0, uid1] = [uidOf(jpg0), uidOf(jpg1)];
    const [label0, label1] = tie ? [0.5, 0.5] : ordered(1, 0);
    const [model0, model1] = ordered(models?.winner ?? '', models?.loser ?? '');
    return {
      are_different: uid0 !== uid1,
      best_image_uid: tie ? 'tie' : winnerFirst ? uid0 : uid1,
      caption,
      created_at: BigInt(createdAt.getTime()) * 1_000_000n,
      has_label: true,
      image_0_uid: uid0,
      image_0_url: '',
      image_1_uid: uid1,
      image_1_url: '',
      jpg_0: jpg0,
      jpg_1: jpg1,
      label_0: label0,
      label_1: label1,
      model_0: model0,
      model_1: model1,
      ranking_id: BigInt(index),
      user_id: 0n,
      num_example_per_prompt: BigInt(examples.get(caption) as number),
    };
  }

  await writeParquet(file, schema, pairs.length, rowOf, rowGroup);
}

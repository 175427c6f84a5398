import { TensorError } from '../../tensor/index.ts';
import { listed } from '../messages.ts';
import { mapConcurrently } from './mapConcurrently.ts';
import type { PairSource, PreferencePair } from './sources.ts';

/** Statistics of a data set; `broken` and what follows `read` cover the pairs that were read. */
export interface PairSummary {
  readonly name: string;
  /** Pairs with a preference. */
  readonly pairs: number;
  /** Left out, since neither image was preferred. */
  readonly ties: number;
  /** Left out, since the pair has no label. */
  readonly unlabelled: number;
  /** Pairs that could be read. */
  readonly read: number;
  /** Lengths in characters. */
  readonly captions: {
    readonly distinct: number;
    readonly empty: number;
    readonly shortest: number;
    readonly mean: number;
    readonly longest: number;
  };
  /** Images by size, the most frequent first. */
  readonly sizes: readonly { readonly width: number; readonly height: number; readonly count: number }[];
  /** Pairs whose two images have the same pixels, from which training learns nothing. */
  readonly identical: number;
  /** How often each generator's images were preferred, where the data name generators. Flipped labels show here. */
  readonly models: readonly { readonly model: string; readonly wins: number; readonly losses: number }[];
  /** Messages about pairs that cannot be read. */
  readonly broken: readonly string[];
}

/** Options of `inspectPairs`. */
export interface InspectOptions {
  /** Limit on the pairs to read, evenly spaced over the data; default all. */
  readonly limit?: number;
  /** Called after each pair with the number of pairs done and the total. */
  readonly onPair?: (done: number, total: number) => void;
}

/** Reads the pairs of a data set, decodes their images and counts. Broken pairs are reported in the summary. */
export async function inspectPairs(
  source: PairSource,
  { limit = source.count, onPair }: InspectOptions = {},
): Promise<PairSummary> {
  const total = Math.min(limit, source.count);
  const indices = Array.from({ length: total }, (_, i) => Math.floor((i * source.count) / total));
  const captions: string[] = [];
  const sizes = new Map<string, { width: number; height: number; count: number }>();
  const models = new Map<string, { wins: number; losses: number }>();
  let [identical, done] = [0, 0];

  function count({ caption, winner, loser, models: made }: PreferencePair): void {
    captions.push(caption);
    for (const { width, height } of [winner, loser]) {
      const size = `${width} × ${height}`;
      sizes.set(size, { width, height, count: (sizes.get(size)?.count ?? 0) + 1 });
    }
    if (winner.width === loser.width && winner.data.every((value, i) => value === loser.data[i])) identical++;
    if (made === undefined) return;
    const add = (model: string, wins: number, losses: number) => {
      const before = models.get(model) ?? { wins: 0, losses: 0 };
      models.set(model, { wins: before.wins + wins, losses: before.losses + losses });
    };
    add(made.winner, 1, 0);
    add(made.loser, 0, 1);
  }

  const problems = await mapConcurrently(indices, 8, async (index) => {
    try {
      count(await source.read(index));
    } catch (error) {
      if (!(error instanceof TensorError)) throw error;
      return [error.message];
    } finally {
      onPair?.(++done, total);
    }
    return [];
  });
  const lengths = captions.map((caption) => [...caption].length);
  return {
    name: source.name,
    pairs: source.count,
    ties: source.ties,
    unlabelled: source.unlabelled,
    read: captions.length,
    captions: {
      distinct: new Set(captions).size,
      empty: captions.filter((caption) => caption.trim() === '').length,
      shortest: lengths.reduce((a, b) => Math.min(a, b), lengths[0] ?? 0),
      mean: lengths.reduce((a, b) => a + b, 0) / Math.max(1, lengths.length),
      longest: lengths.reduce((a, b) => Math.max(a, b), 0),
    },
    sizes: [...sizes.values()].sort((a, b) => b.count - a.count),
    identical,
    models: [...models]
      .map(([model, { wins, losses }]) => ({ model, wins, losses }))
      .sort((a, b) => b.wins + b.losses - (a.wins + a.losses)),
    broken: problems.flat(),
  };
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;

/** A summary as text, one line for each fact. */
export function describePairs(summary: PairSummary): string {
  const { captions, sizes, models, broken } = summary;
  const facts = [
    summary.name,
    `pairs: ${summary.pairs} with a preference; left out: ${summary.ties} ties, ${summary.unlabelled} without a label`,
    `read: ${summary.read}; ${broken.length} broken; ${summary.identical} of two equal images`,
    `captions: ${captions.distinct} distinct, ${captions.empty} empty, ${captions.shortest} to ${captions.longest} characters, ${captions.mean.toFixed(1)} on average`,
    ...sizes.slice(0, 10).map(({ width, height, count }) => `images: ${count} of ${width} × ${height}`),
    ...(sizes.length > 10 ? [`images: ${sizes.length - 10} more sizes`] : []),
    ...models
      .slice(0, 20)
      .map(
        ({ model, wins, losses }) =>
          `model ${model}: preferred in ${wins} of ${wins + losses} (${percent(wins, wins + losses)})`,
      ),
    ...listed(broken, 20).map((message) => `broken: ${message}`),
  ];
  return facts.join('\n');
}

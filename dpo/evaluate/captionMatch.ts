import { random, read, type Tensor, TensorError } from '../../tensor/index.ts';
import { checkComparable, type Features, rowOf, squaredDistance } from './features.ts';
import type { Figure } from './figure.ts';
import { meanShare } from './proportions.ts';

/** Features of images, and one caption for each image. */
export interface CaptionedFeatures {
  readonly features: Features;
  readonly captions: readonly string[];
}

/** Options of `captionMatch`. */
export interface CaptionMatchOptions {
  /** The random key that draws the other candidates. */
  readonly key: Tensor;
  /** Number of candidate captions for each sample, its own included; default 10, where chance is 0.1. */
  readonly candidates?: number;
  /** Confidence of the interval, between 0 and 1; default 0.95. */
  readonly confidence?: number;
}

/** The mean of `matched` with Wilson's interval, and the result of each sample. */
export interface CaptionMatch extends Figure {
  /** For each sample: 1 if its own caption is nearest, 1/k if k captions including its own are equally near, else 0. */
  readonly matched: readonly number[];
}

/**
 * The share of samples that match their caption, with Wilson's interval. A sample matches if its own caption is nearer than
 * the other candidate captions, which are drawn at random. The distance from a sample to a caption is the Euclidean distance
 * to the nearest real image with that caption, in the given features. Sample i's candidates depend only on its caption, the
 * captions of the real images, the key and i.
 * @throws TensorError if the features are not comparable, captions and features differ in number, a sample's caption has no
 * real image, or `candidates` is below 2 or above the number of captions
 */
export async function captionMatch(
  samples: CaptionedFeatures,
  real: CaptionedFeatures,
  { key, candidates = 10, confidence = 0.95 }: CaptionMatchOptions,
): Promise<CaptionMatch> {
  checkComparable('captionMatch', samples.features, real.features);
  checkCaptions('samples', samples);
  checkCaptions('real images', real);
  const rows = rowsByCaption(real.captions);
  const names = [...rows.keys()];
  if (!(Number.isInteger(candidates) && candidates >= 2 && candidates <= names.length)) {
    throw new TensorError(
      `captionMatch: needs at least 2 candidates, and at most ${names.length}, the captions that have real images; got ${candidates}`,
    );
  }
  const { count } = samples.features;
  const chances = await read(random.uniform(key, [count, candidates - 1]));
  const matched = samples.captions.map((own, i) => {
    if (!rows.has(own))
      throw new TensorError(`captionMatch: there is no real image of '${own}', caption of sample ${i}`);
    const others = chooseOthers(names, own, chances.subarray(i * (candidates - 1), (i + 1) * (candidates - 1)));
    const distance = (caption: string): number =>
      Math.min(
        ...(rows.get(caption) ?? []).map((row) =>
          squaredDistance(rowOf(samples.features, i), rowOf(real.features, row)),
        ),
      );
    const [ownDistance, distances] = [distance(own), others.map(distance)];
    if (distances.some((other) => other < ownDistance)) return 0;
    return 1 / (1 + distances.filter((other) => other === ownDistance).length);
  });
  return { ...meanShare(matched, confidence), matched };
}

function checkCaptions(what: string, { features, captions }: CaptionedFeatures): void {
  if (captions.length !== features.count)
    throw new TensorError(`captionMatch: ${captions.length} captions for ${features.count} ${what}`);
}

function rowsByCaption(captions: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const rows = new Map<string, number[]>();
  captions.forEach((caption, row) => {
    const known = rows.get(caption);
    if (known === undefined) rows.set(caption, [row]);
    else known.push(row);
  });
  return rows;
}

/** Draws one distinct name other than `own` for each number in [0, 1): the first steps of a Fisher–Yates shuffle. */
function chooseOthers(names: readonly string[], own: string, chances: ArrayLike<number>): string[] {
  const rest = names.filter((name) => name !== own);
  for (let i = 0; i < chances.length; i++) {
    const j = i + Math.floor((chances[i] as number) * (rest.length - i));
    [rest[i], rest[j]] = [rest[j] as string, rest[i] as string];
  }
  return rest.slice(0, chances.length);
}

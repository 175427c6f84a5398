import { random, type Tensor } from '../../tensor/index.ts';
import { bootstrapMean } from './bootstrap.ts';
import { captionMatch } from './captionMatch.ts';
import { classifierFeatures, predictClasses } from './classifier.ts';
import { selectRows } from './features.ts';
import { fid } from './fid.ts';
import type { Figure } from './figure.ts';
import { imagesTensor, type Judges } from './judges.ts';
import { kid } from './kid.ts';
import { nearestNeighbours, precisionRecall } from './precisionRecall.ts';
import { wilsonInterval } from './proportions.ts';
import type { RealImages } from './realImages.ts';
import { slicedWasserstein } from './slicedWasserstein.ts';

/** Figures of the samples of one pipeline. */
export interface SampleFigures {
  /** Share of samples that the judge of kinds classifies as preferred. */
  readonly preferredShare: Figure;
  /** Share of samples that the judge of kinds classifies as neither kind. */
  readonly neitherShare: Figure;
  readonly captionMatch: Figure;
  /** Distances to real images of the preferred kind, in the features of the judge of kinds. */
  readonly kid: Figure;
  readonly fid: Figure;
  readonly slicedWasserstein: Figure;
  readonly precision: Figure;
  readonly recall: Figure;
  /** Mean distance to the nearest real image, in the same features. */
  readonly nearest: Figure;
  /** The probability of the preferred kind of each sample; the default reward. */
  readonly scores: Float64Array;
}

/**
 * Compares samples [N, 3, height, width], clamped to −1 … 1, with real images, by the judges. `captions` has one caption for
 * each sample.
 * @throws TensorError as `captionMatch` and the distances do
 */
export async function measureSamples({
  values,
  captions,
  real,
  judges,
  size,
  candidates,
  key,
}: {
  readonly values: Float32Array;
  readonly captions: readonly string[];
  readonly real: RealImages;
  readonly judges: Judges;
  readonly size: readonly [number, number];
  readonly candidates: number;
  readonly key: Tensor;
}): Promise<SampleFigures> {
  const [matchKey, directionKey, nearKey] = random.split(key, 3) as [Tensor, Tensor, Tensor];
  const images = imagesTensor(
    values.map((value) => Math.min(1, Math.max(-1, value))),
    size,
  );
  const realImages = imagesTensor(real.values, size);
  const { classes, probabilities } = await predictClasses(judges.kind, images);
  const count = captions.length;
  const shareOf = (kind: number): Figure =>
    wilsonInterval(
      classes.reduce((sum, one) => sum + (one === kind ? 1 : 0), 0),
      count,
    );
  const features = await classifierFeatures(judges.kind, images);
  const allReal = await classifierFeatures(judges.kind, realImages);
  const preferred = selectRows(
    allReal,
    real.preferred.flatMap((is, i) => (is ? [i] : [])),
  );
  const { matched: _, ...match } = await captionMatch(
    { features: await classifierFeatures(judges.caption, images), captions },
    { features: await classifierFeatures(judges.caption, realImages), captions: real.captions },
    { key: matchKey, candidates },
  );
  return {
    preferredShare: shareOf(0),
    neitherShare: shareOf(2),
    captionMatch: match,
    kid: kid(features, preferred),
    fid: fid(features, preferred),
    slicedWasserstein: await slicedWasserstein(features, preferred, { key: directionKey }),
    ...precisionRecall(features, preferred),
    nearest: await bootstrapMean(nearestNeighbours(features, allReal).distances, { key: nearKey }),
    scores: Float64Array.from({ length: count }, (_, i) => probabilities[i * judges.kind.classes.length] as number),
  };
}

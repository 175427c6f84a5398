import { random, type Tensor } from '../../tensor/index.ts';
import { bootstrapMean } from './bootstrap.ts';
import { captionMatch } from './captionMatch.ts';
import { classifierFeatures, predictClasses } from './classifier.ts';
import { selectRows } from './features.ts';
import { fid } from './fid.ts';
import type { Figure } from './figure.ts';
import { type Judges, picturesTensor } from './judges.ts';
import { kid } from './kid.ts';
import { nearestNeighbours, precisionRecall } from './precisionRecall.ts';
import { wilsonInterval } from './proportions.ts';
import type { RealPictures } from './realImages.ts';
import { slicedWasserstein } from './slicedWasserstein.ts';

/** What is measured of the pictures that one pipeline draws. */
export interface SampleFigures {
  /** Share that the judge of kinds calls preferred. */
  readonly preferredShare: Figure;
  readonly neitherShare: Figure;
  readonly captionMatch: Figure;
  /** Distances to real pictures of the preferred kind, in the features of the judge of kinds. */
  readonly kid: Figure;
  readonly fid: Figure;
  readonly slicedWasserstein: Figure;
  readonly precision: Figure;
  readonly recall: Figure;
  /** Mean distance to the nearest real picture, in the same features. */
  readonly nearest: Figure;
  /** Probability of the preferred kind, for each sample: what comparisons score with. */
  readonly scores: Float64Array;
}

/** Measures samples, [N, 3, height, width] from −1 to 1 with a caption each, against real pictures. */
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
  readonly real: RealPictures;
  readonly judges: Judges;
  readonly size: readonly [number, number];
  readonly candidates: number;
  readonly key: Tensor;
}): Promise<SampleFigures> {
  const [matchKey, directionKey, nearKey] = random.split(key, 3) as [Tensor, Tensor, Tensor];
  const pictures = picturesTensor(
    values.map((value) => Math.min(1, Math.max(-1, value))),
    size,
  );
  const realPictures = picturesTensor(real.values, size);
  const { classes, probabilities } = await predictClasses(judges.kind, pictures);
  const count = captions.length;
  const shareOf = (kind: number): Figure =>
    wilsonInterval(
      classes.reduce((sum, one) => sum + (one === kind ? 1 : 0), 0),
      count,
    );
  const features = await classifierFeatures(judges.kind, pictures);
  const allReal = await classifierFeatures(judges.kind, realPictures);
  const preferred = selectRows(
    allReal,
    real.preferred.flatMap((is, i) => (is ? [i] : [])),
  );
  const { matched: _, ...match } = await captionMatch(
    { features: await classifierFeatures(judges.caption, pictures), captions },
    { features: await classifierFeatures(judges.caption, realPictures), captions: real.captions },
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

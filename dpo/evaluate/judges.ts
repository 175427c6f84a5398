import { concat, random, read, realize, type Tensor, TensorError, take, tensor } from '../../tensor/index.ts';
import { type Classifier, classifierAccuracy } from './classifier.ts';
import type { Figure } from './figure.ts';
import { neitherImages } from './neither.ts';
import type { RealImages } from './realImages.ts';
import { trainClassifier } from './trainClassifier.ts';

/** The classes of the judge of kinds; an image of the last one counts as not preferred. */
export const kinds = ['preferred', 'other', 'neither'] as const;

/** Networks that judge samples. They are trained only on real images, so they do not depend on the tuned model. */
export interface Judges {
  /** The judge of kinds: classifies images as `preferred`, `other` or `neither`. */
  readonly kind: Classifier;
  /** Accuracy of `kind` on held-out images. */
  readonly accuracy: Figure;
  /** The judge of captions: classifies images by caption; `captionMatch` compares its features. */
  readonly caption: Classifier;
}

/** Images and training options of `trainJudges`. */
export interface JudgesOptions {
  readonly train: RealImages;
  /** Images that the judge of kinds does not learn from; the judge of captions does. */
  readonly heldOut: RealImages;
  /** Real images that the judge of kinds learns from; default `train`. */
  readonly kindImages?: RealImages;
  /** Epochs of the judge of kinds; default 24. */
  readonly kindEpochs?: number;
  /** [height, width] */
  readonly size: readonly [number, number];
  readonly key: Tensor;
  readonly onStep?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Images as a tensor: f32[N, 3, height, width]. */
export const imagesTensor = (values: Float32Array, [height, width]: readonly [number, number]): Tensor =>
  tensor(values).reshape([values.length / (3 * height * width), 3, height, width]);

/** Epochs of the judge of captions; more than those of the judge of kinds, since each caption has few images. */
const captionEpochs = 60;

/** Most captions that the judge of captions may have; more would need a larger network. */
const mostCaptions = 2000;

/**
 * Trains the two judges on real images: the judge of kinds on `kindImages` and half as many images of neither kind made from
 * them (`neitherImages`), and the judge of captions on `train` and `heldOut`, for 60 epochs. The accuracy is that of the
 * judge of kinds on `heldOut` and half as many images of neither kind. The result follows from the options alone.
 * @throws TensorError if `train` and `heldOut` have more than 2000 distinct captions, or fewer than two
 */
export async function trainJudges(options: JudgesOptions): Promise<Judges> {
  const { train, heldOut, size, kindImages = train, kindEpochs = 24, onStep, signal } = options;
  const [kindKey, heldOutKey, learnKey, captionKey] = random.split(options.key, 4) as [Tensor, Tensor, Tensor, Tensor];
  const [seen, unseen] = [await ofKinds(kindImages, size, kindKey), await ofKinds(heldOut, size, heldOutKey)];
  // The judge of captions also learns held-out images: it is applied to samples, and no real image is a sample.
  const all = [train, heldOut];
  const names = [...new Set(all.flatMap(({ captions }) => captions))];
  if (names.length > mostCaptions)
    throw new TensorError(`trainJudges: ${names.length} captions are more than ${mostCaptions}; give fewer pairs`);
  const numbers = new Map(names.map((name, i) => [name, i]));
  const shared = signal === undefined ? {} : { signal };
  let [done, total] = [0, 0];
  const tell = (part: number, share: number) => (step: { readonly step: number; readonly steps: number }) => {
    [done, total] = [Math.round(1000 * (part + (share * step.step) / step.steps)), 1000];
    onStep?.(done, total);
  };
  const kind = await trainClassifier({
    ...{ images: seen.images, labels: seen.labels, classes: kinds, key: learnKey, epochs: kindEpochs, ...shared },
    onStep: tell(0, 0.5),
  });
  const caption = await trainClassifier({
    images: await realize(
      concat(
        all.map(({ values }) => imagesTensor(values, size)),
        0,
      ),
    ),
    labels: all.flatMap(({ captions }) => captions.map((name) => numbers.get(name) as number)),
    ...{ classes: names, key: captionKey, epochs: captionEpochs, ...shared },
    onStep: tell(0.5, 0.5),
  });
  return { kind, accuracy: await classifierAccuracy(kind, unseen.images, unseen.labels), caption };
}

/** Real images labelled by kind, and half as many images of neither kind made from them. */
async function ofKinds({ values, preferred }: RealImages, size: readonly [number, number], key: Tensor) {
  const [chooseKey, makeKey] = random.split(key);
  const real = imagesTensor(values, size);
  const count = preferred.length;
  const chosen = (await read(random.permutation(chooseKey, count))).slice(0, Math.ceil(count / 2));
  const neither = neitherImages(take(real, tensor(Int32Array.from(chosen))), makeKey);
  const images = await realize(concat([real, neither], 0));
  const labels = [...preferred.map((is) => (is ? 0 : 1)), ...new Array<number>(chosen.length).fill(2)];
  return { images, labels };
}

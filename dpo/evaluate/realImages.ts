import { TensorError } from '../../tensor/index.ts';
import { centred, prepareImage } from '../data/preprocess.ts';
import { mapReadable, type SkipOptions } from '../data/readable.ts';
import type { PairSource } from '../data/sources.ts';

/** The images of pairs, each with its caption and kind. */
export interface RealImages {
  readonly captions: readonly string[];
  /** [N, 3, height, width], from −1 to 1, row-major. */
  readonly values: Float32Array;
  /** Whether each image is of the preferred kind. */
  readonly preferred: readonly boolean[];
  /** The name of the model that made each image, if the pairs give it. */
  readonly models: readonly (string | undefined)[];
}

/**
 * Reads both images of every pair. The preferred kind is the images made by the model named `preferred`, regardless of the
 * labels; if `preferred` is null, it is the winners of the pairs.
 * @throws TensorError if more rows than `skip` allows are unreadable, or if none or all of the images are of the preferred kind
 */
export async function realImages(
  source: PairSource,
  size: readonly [number, number],
  preferred: string | null,
  skip: SkipOptions,
): Promise<RealImages> {
  const pairs = await mapReadable(source, skip, (pair) =>
    (['winner', 'loser'] as const).map((side) => ({
      caption: pair.caption,
      model: pair.models?.[side],
      isPreferred: preferred === null ? side === 'winner' : pair.models?.[side] === preferred,
      values: prepareImage(pair[side], size, centred).values,
    })),
  );
  const images = pairs.flat();
  const kinds = images.map(({ isPreferred }) => isPreferred);
  const models = images.map(({ model }) => model);
  if (kinds.every((kind) => kind === kinds[0])) {
    const names = [...new Set(models)].filter((name) => name !== undefined && name !== '');
    throw new TensorError(
      `${source.name}: ${kinds[0] ? 'all' : 'none'} of the images are of the preferred model ${JSON.stringify(preferred)}; ` +
        (names.length === 0 ? 'the pairs name no models' : `the models are ${names.slice(0, 20).join(', ')}`),
    );
  }
  const values = new Float32Array(images.length * 3 * size[0] * size[1]);
  images.forEach((one, i) => {
    values.set(one.values, i * one.values.length);
  });
  return { captions: images.map(({ caption }) => caption), values, preferred: kinds, models };
}

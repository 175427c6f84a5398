import { TensorError } from '../../tensor/index.ts';
import { centred, preparePicture } from '../data/preprocess.ts';
import { mapReadable, type SkipOptions } from '../data/readable.ts';
import type { PairSource } from '../data/sources.ts';

/** Pictures of pairs, with their captions and whether they are of the preferred kind. */
export interface RealPictures {
  readonly captions: readonly string[];
  /** [N, 3, height, width], from −1 to 1, one after the other. */
  readonly values: Float32Array;
  /** Whether each is of the preferred kind. */
  readonly preferred: readonly boolean[];
  /** What made each, where the pairs say so. */
  readonly models: readonly (string | undefined)[];
}

/**
 * Both pictures of every pair. Of the preferred kind are those that the model `preferred` made, whatever the labels say, or,
 * where it is null, those that were preferred.
 * @throws TensorError if more rows than `skip` allows cannot be read, if no picture is of the preferred kind, or all are.
 */
export async function realPictures(
  source: PairSource,
  size: readonly [number, number],
  preferred: string | null,
  skip: SkipOptions,
): Promise<RealPictures> {
  const pairs = await mapReadable(source, skip, (pair) =>
    (['winner', 'loser'] as const).map((side) => ({
      caption: pair.caption,
      model: pair.models?.[side],
      isPreferred: preferred === null ? side === 'winner' : pair.models?.[side] === preferred,
      values: preparePicture(pair[side], size, centred).values,
    })),
  );
  const pictures = pairs.flat();
  const kinds = pictures.map(({ isPreferred }) => isPreferred);
  const models = pictures.map(({ model }) => model);
  if (kinds.every((kind) => kind === kinds[0])) {
    const names = [...new Set(models)].filter((name) => name !== undefined && name !== '');
    throw new TensorError(
      `${source.name}: ${kinds[0] ? 'all' : 'none'} of the pictures are of the preferred model ${JSON.stringify(preferred)}; ` +
        (names.length === 0 ? 'the pairs name no models' : `the models are ${names.slice(0, 20).join(', ')}`),
    );
  }
  const values = new Float32Array(pictures.length * 3 * size[0] * size[1]);
  pictures.forEach((one, i) => {
    values.set(one.values, i * one.values.length);
  });
  return { captions: pictures.map(({ caption }) => caption), values, preferred: kinds, models };
}

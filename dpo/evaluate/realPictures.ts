import { TensorError } from '../../tensor/index.ts';
import { preparePicture } from '../data/preprocess.ts';
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
 * @throws TensorError if no picture is of the preferred kind, or all are.
 */
export async function realPictures(
  source: PairSource,
  size: readonly [number, number],
  preferred: string | null,
): Promise<RealPictures> {
  const captions: string[] = [];
  const kinds: boolean[] = [];
  const models: (string | undefined)[] = [];
  const prepared: Float32Array[] = [];
  for (let i = 0; i < source.count; i++) {
    const pair = await source.read(i);
    for (const side of ['winner', 'loser'] as const) {
      captions.push(pair.caption);
      models.push(pair.models?.[side]);
      kinds.push(preferred === null ? side === 'winner' : pair.models?.[side] === preferred);
      prepared.push(preparePicture(pair[side], size, centred).values);
    }
  }
  if (kinds.every((kind) => kind === kinds[0])) {
    const names = [...new Set(models)].filter((name) => name !== undefined && name !== '');
    throw new TensorError(
      `${source.name}: ${kinds[0] ? 'all' : 'none'} of the pictures are of the preferred model ${JSON.stringify(preferred)}; ` +
        (names.length === 0 ? 'the pairs name no models' : `the models are ${names.slice(0, 20).join(', ')}`),
    );
  }
  const values = new Float32Array(prepared.length * 3 * size[0] * size[1]);
  prepared.forEach((one, i) => {
    values.set(one, i * one.length);
  });
  return { captions, values, preferred: kinds, models };
}

const centred = { across: 0.5, down: 0.5, flip: false } satisfies Parameters<typeof preparePicture>[2];

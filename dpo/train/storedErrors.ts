import { read, stack, tensor } from '../../tensor/index.ts';
import type { ReferenceErrors } from './noisedPairs.ts';

/** The reference's errors for each of the batches that someone will see, by number, as new leaves. */
export type ErrorsOf = (batch: number) => ReferenceErrors;

/** Errors of a batch on the host: f32[2, pairs], all winners' before all losers'. */
export const readErrors = async ({ winner, loser }: ReferenceErrors): Promise<Float32Array> =>
  (await read(stack([winner, loser], 0))) as Float32Array;

/** The errors of batches of `pairs` pairs, from f32[batches, 2, pairs] on the host. */
export const storedErrors =
  (values: Float32Array, pairs: number): ErrorsOf =>
  (batch) => {
    const side = (which: 0 | 1) => {
      const from = (2 * batch + which) * pairs;
      return tensor(values.slice(from, from + pairs));
    };
    return { winner: side(0), loser: side(1) };
  };

import { read, stack, tensor } from '../../tensor/index.ts';
import type { ReferenceErrors } from './noisedPairs.ts';

/** Gives the reference's errors for batch number i, as new leaves at each call. */
export type ErrorsOf = (batch: number) => ReferenceErrors;

/** Reads the errors of a batch: f32[2, pairs] on the host, the winners' first. */
export const readErrors = async ({ winner, loser }: ReferenceErrors): Promise<Float32Array> =>
  (await read(stack([winner, loser], 0))) as Float32Array;

/** Looks errors up in f32[batches, 2, pairs] on the host. */
export const storedErrors =
  (values: Float32Array, pairs: number): ErrorsOf =>
  (batch) => {
    const side = (which: 0 | 1) => {
      const from = (2 * batch + which) * pairs;
      return tensor(values.slice(from, from + pairs));
    };
    return { winner: side(0), loser: side(1) };
  };

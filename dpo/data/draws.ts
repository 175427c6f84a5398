import { TensorError, threefry } from '../../tensor/index.ts';

/** A random key on the host: the two words that `key`, `random.split` and `random.foldIn` compute on a device. */
export type HostKey = readonly [number, number];

/** Counters of the threefry cipher that separate the three uses of a key, as in tensor/random.ts. */
const [draw, split, fold] = [0, 1, 2];

/** The key of a seed, an integer from 0 to 2^53 − 1. */
export function hostKey(seed: number): HostKey {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new TensorError(`a seed is a whole number from 0 to 2^53 − 1, got ${seed}`);
  return [Math.floor(seed / 2 ** 32), seed % 2 ** 32];
}

/** Key i of `random.split(key)`. */
export const splitKey = ([high, low]: HostKey, i: number): HostKey => threefry(high, low, i, split);

/** The key of `random.foldIn(key, data)`, data an integer from 0 to 2^32 − 1. */
export const foldKey = ([high, low]: HostKey, data: number): HostKey => threefry(high, low, data, fold);

/** Random word i of a key: a uniform integer below 2^32. */
export const word = ([high, low]: HostKey, i: number): number => threefry(high, low, i, draw)[0];

/** Random number i of a key, uniform in [0, 1). */
export const uniform = (key: HostKey, i: number): number => word(key, i) / 2 ** 32;

/** The integers 0 to n − 1 in random order (Fisher & Yates 1938; Durstenfeld 1964). */
export function shuffled(key: HostKey, n: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(uniform(key, i) * (i + 1));
    const other = order[j] as number;
    order[j] = order[i] as number;
    order[i] = other;
  }
  return order;
}

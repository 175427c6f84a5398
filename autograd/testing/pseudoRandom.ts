/**
 * A generator of numbers in [0, 1), reproducible from its seed: xorshift with 32 bits of state (Marsaglia 2003, "Xorshift
 * RNGs"), good enough to choose directions.
 */
export function pseudoRandom(seed: number): () => number {
  // The state must not be 0. The first outputs of close seeds resemble each other and are dropped.
  let state = Math.imul(seed + 1, 0x9e3779b1) || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 4; i++) next();
  return next;
}

/**
 * Random weights of either sign with magnitudes from ½ to 1½: none is near zero, where it would hide an error. They are
 * multiples of 1/16, which makes most products with them exact.
 */
export const signedWeights = (length: number, random: () => number): Float64Array =>
  Float64Array.from({ length }, () => ((random() < 0.5 ? -1 : 1) * (8 + Math.floor(random() * 17))) / 16);

/**
 * Numbers in [0, 1), the same for the same seed everywhere: xorshift with 32 bits of state (Marsaglia 2003, "Xorshift
 * RNGs"). Good enough to choose directions; nothing here needs more.
 */
export function pseudoRandom(seed: number): () => number {
  // The state may not be 0. The first few outputs still resemble the seed.
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
 * Weights of either sign between ½ and 1½: none is near zero, so nothing that is multiplied by one can hide. They are
 * multiples of 1/16, which makes most products with them exact.
 */
export const signedWeights = (length: number, random: () => number): Float64Array =>
  Float64Array.from({ length }, () => ((random() < 0.5 ? -1 : 1) * (8 + Math.floor(random() * 17))) / 16);

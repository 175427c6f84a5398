const rotations: readonly number[] = [13, 15, 26, 6, 17, 29, 16, 24];

/** Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). */
export function threefry(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const keys = [key0, key1, key0 ^ key1 ^ 0x1bd11bda] as const;
  let a = (counter0 + key0) | 0;
  let b = (counter1 + key1) | 0;
  for (let round = 0; round < 20; round++) {
    const rotation = rotations[round % 8] as number;
    a = (a + b) | 0;
    b = ((b << rotation) | (b >>> (32 - rotation))) ^ a;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      a = (a + (keys[injection % 3] as number)) | 0;
      b = (b + (keys[(injection + 1) % 3] as number) + injection) | 0;
    }
  }
  return [a >>> 0, b >>> 0];
}

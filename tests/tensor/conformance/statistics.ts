import { entry } from './naive.ts';

/** The largest distance between the empirical distribution of a sample and a distribution function. */
export function kolmogorovSmirnov(sample: readonly number[], distribution: (x: number) => number): number {
  const sorted = [...sample].sort((a, b) => a - b);
  const n = sorted.length;
  return sorted.reduce((worst, x, i) => {
    const p = distribution(x);
    return Math.max(worst, p - i / n, (i + 1) / n - p);
  }, 0);
}

/** The 0.999 quantile of this distance (Kolmogorov's limit, for samples of thousands). */
export const kolmogorovBound = (n: number): number => 1.95 / Math.sqrt(n);

/** Pearson's statistic of counts against expected counts. */
export const chiSquared = (counts: readonly number[], expected: readonly number[]): number =>
  counts.reduce((sum, count, i) => sum + (count - entry(expected, i)) ** 2 / entry(expected, i), 0);

/** The 0.999 quantile of χ² (Wilson & Hilferty 1931). */
export const chiSquaredBound = (freedom: number): number =>
  freedom * (1 - 2 / (9 * freedom) + 3.09 * Math.sqrt(2 / (9 * freedom))) ** 3;

/** The standard normal distribution function by formula 7.1.26 of Abramowitz & Stegun, off by at most 1.5e-7. */
export function normalDistribution(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const s = 1 / (1 + 0.3275911 * z);
  const series = s * (0.254829592 + s * (-0.284496736 + s * (1.421413741 + s * (-1.453152027 + s * 1.061405429))));
  const erf = 1 - series * Math.exp(-z * z);
  return 0.5 * (1 + Math.sign(x) * erf);
}

export const countsOf = (sample: readonly number[], classes: number): number[] => {
  const counts = new Array<number>(classes).fill(0);
  for (const x of sample) counts[x] = entry(counts, x) + 1;
  return counts;
};

/** Threefry-2x32-20 in BigInt, from section 3.3 of Salmon et al. 2011. */
export function threefry(key: readonly [number, number], counter: readonly [number, number]): [number, number] {
  const word = (x: bigint) => BigInt.asUintN(32, x);
  const keys = [BigInt(key[0]), BigInt(key[1])] as [bigint, bigint];
  const schedule = [...keys, keys[0] ^ keys[1] ^ 0x1bd11bdan];
  let [x0, x1] = [word(BigInt(counter[0]) + keys[0]), word(BigInt(counter[1]) + keys[1])];
  for (let round = 1; round <= 20; round++) {
    const turn = BigInt(entry([13, 15, 26, 6, 17, 29, 16, 24], (round - 1) % 8));
    x0 = word(x0 + x1);
    x1 = word((x1 << turn) | (x1 >> (32n - turn))) ^ x0;
    if (round % 4 === 0) {
      const j = round / 4;
      x0 = word(x0 + entry(schedule, j % 3));
      x1 = word(x1 + entry(schedule, (j + 1) % 3) + BigInt(j));
    }
  }
  return [Number(x0), Number(x1)];
}

import type { NoiseSchedule } from '../noise/schedule.ts';

/**
 * √((1 − ᾱ)/ᾱ): the standard deviation of the noise beside a picture that is not scaled down. Where nothing of the picture
 * is left, ᾱ = 0, it would be infinite; 2⁻²⁴ is taken for ᾱ there, as in diffusers.
 */
export const finiteSigmasOf = ({ alphasCumprod }: NoiseSchedule): Float64Array =>
  alphasCumprod.map((bar) => {
    const least = bar === 0 ? 2 ** -24 : bar;
    return Math.sqrt((1 - least) / least);
  });

/** A table's value at any place between its indices, by straight lines. */
export function interpolate(table: ArrayLike<number>, at: number): number {
  const below = Math.min(Math.max(Math.floor(at), 0), table.length - 1);
  const above = Math.min(below + 1, table.length - 1);
  const [low, high] = [table[below] as number, table[above] as number];
  return low + (high - low) * (at - below);
}

/** The time step, not a whole number, at which the noise has this standard deviation: log σ lies on straight lines. */
export function timestepOf(sigma: number, sigmas: Float64Array): number {
  const log = Math.log(Math.max(sigma, 1e-10));
  let low = sigmas.findLastIndex((one) => Math.log(one) <= log);
  low = Math.min(Math.max(low, 0), sigmas.length - 2);
  const [from, to] = [Math.log(sigmas[low] as number), Math.log(sigmas[low + 1] as number)];
  const part = Math.min(Math.max((log - from) / (to - from), 0), 1);
  return low + part;
}

/** Standard deviations that are evenly spread in σ^(1/7) (Karras et al. 2022, equation 5), the largest first. */
export function karrasSigmas(smallest: number, largest: number, count: number): number[] {
  const rho = 7;
  const [low, high] = [smallest ** (1 / rho), largest ** (1 / rho)];
  return Array.from({ length: count }, (_, i) => (high + (count === 1 ? 0 : i / (count - 1)) * (low - high)) ** rho);
}

/** Standard deviations that are evenly spread in log σ, the largest first (Lu et al. 2022). */
export const exponentialSigmas = (smallest: number, largest: number, count: number): number[] => {
  const [low, high] = [Math.log(smallest), Math.log(largest)];
  return Array.from({ length: count }, (_, i) => Math.exp(high + (count === 1 ? 0 : i / (count - 1)) * (low - high)));
};

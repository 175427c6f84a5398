import { TensorError } from '../../tensor/index.ts';
import type { NoiseSchedule } from '../noise/schedule.ts';

/** √((1 − ᾱ)/ᾱ): the standard deviation of the noise beside an image that is not scaled down. */
export const sigmaOf = (alphaBar: number): number => Math.sqrt((1 - alphaBar) / alphaBar);

/**
 * The standard deviations of the noise at all time steps. Where nothing of the image is left, ᾱ = 0, it would be infinite;
 * 2⁻²⁴ is taken for ᾱ there, as in diffusers. The time steps just before may have more noise than that.
 */
export const finiteSigmasOf = ({ alphasCumprod }: NoiseSchedule): Float64Array =>
  alphasCumprod.map((bar) => sigmaOf(bar === 0 ? 2 ** -24 : bar));

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
  const part = to === from ? 0 : Math.min(Math.max((log - from) / (to - from), 0), 1);
  return low + part;
}

/** `count` numbers from `high` to `low`, evenly spread; of one, `high`. */
const between = (high: number, low: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => high + (count === 1 ? 0 : i / (count - 1)) * (low - high));

/** Standard deviations that are evenly spread in σ^(1/7) (Karras et al. 2022, equation 5), the largest first. */
const karrasSigmas = (smallest: number, largest: number, count: number): number[] => {
  const rho = 7;
  return between(largest ** (1 / rho), smallest ** (1 / rho), count).map((root) => root ** rho);
};

/** Standard deviations that are evenly spread in log σ, the largest first (Lu et al. 2022). */
export const exponentialSigmas = (smallest: number, largest: number, count: number): number[] =>
  between(Math.log(largest), Math.log(smallest), count).map(Math.exp);

/** Fields that spread standard deviations in a way of their own instead of by time steps. */
interface SpreadSettings {
  readonly use_karras_sigmas: boolean;
  readonly use_exponential_sigmas: boolean;
  readonly use_lu_lambdas?: boolean;
  readonly sigma_min: number | null;
  readonly sigma_max: number | null;
}

/**
 * How a configuration spreads standard deviations, or undefined where it goes by time steps; of `smallest` and `largest`, it
 * may say others.
 * @throws TensorError where it asks for two ways at once, or for bounds between which there is nothing.
 */
export function spreadOf(
  sampler: string,
  settings: SpreadSettings,
): ((smallest: number, largest: number, count: number) => number[]) | undefined {
  const ways = (['use_karras_sigmas', 'use_exponential_sigmas', 'use_lu_lambdas'] as const).filter(
    (name) => settings[name] === true,
  );
  if (ways.length === 0) return undefined;
  if (ways.length > 1) throw new TensorError(`${sampler}: only one of ${ways.join(' and ')} can be true`);
  const spread = ways[0] === 'use_karras_sigmas' ? karrasSigmas : exponentialSigmas;
  return (smallest, largest, count) => {
    const [low, high] = [settings.sigma_min ?? smallest, settings.sigma_max ?? largest];
    if (!(low > 0 && low <= high))
      throw new TensorError(
        `${sampler}: σ must go from sigma_min above 0 to a sigma_max that is not smaller, but they are ${low} and ${high}`,
      );
    return spread(low, high, count);
  };
}

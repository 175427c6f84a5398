import { TensorError } from '../../tensor/index.ts';

/** How time steps are spread: multiples of a whole number, evenly from 0 to the last, or evenly from the last down. */
export type Spacing = 'leading' | 'linspace' | 'trailing';

/** Rounds as NumPy does: halves to the even neighbour. */
export const roundHalfEven = (x: number): number => {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
};

/** `count` numbers from `from` to `to`, both included; of one, `from`. */
export const evenly = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (count === 1 ? from : from + (i * (to - from)) / (count - 1)));

export interface SpacingOptions {
  /** What messages call the sampler. */
  readonly sampler: string;
  readonly numTrainTimesteps: number;
  readonly steps: number;
  readonly spacing: Spacing;
  readonly offset: number;
  /** Whether evenly spread time steps are rounded; default true. */
  readonly whole?: boolean;
}

/** The noisiest of so many multiples of ⌊T/steps⌋ from `offset`. */
const firstLeading = (numTrainTimesteps: number, steps: number, offset: number): number =>
  (steps - 1) * Math.floor(numTrainTimesteps / steps) + offset;

/**
 * Time steps in the order in which they are taken, from the noisiest (diffusers' `set_timesteps`): `steps` of 0 … T − 1, none
 * of them twice.
 * @throws TensorError unless there are 1 to T steps, and where an offset pushes them beyond T − 1.
 */
export function spacedTimesteps(options: SpacingOptions): number[] {
  const { sampler, numTrainTimesteps, steps, spacing, offset, whole = true } = options;
  checkSteps(sampler, steps, numTrainTimesteps);
  switch (spacing) {
    case 'leading': {
      const first = firstLeading(numTrainTimesteps, steps, offset);
      if (first >= numTrainTimesteps) throw new TensorError(`${sampler}: ${tooFar(options, first)}`);
      const ratio = Math.floor(numTrainTimesteps / steps);
      return Array.from({ length: steps }, (_, i) => first - i * ratio);
    }
    case 'linspace': {
      const even = evenly(0, numTrainTimesteps - 1, steps);
      return (whole ? even.map(roundHalfEven) : even).reverse();
    }
    case 'trailing':
      return Array.from(
        { length: steps },
        (_, i) => roundHalfEven(numTrainTimesteps - (i * numTrainTimesteps) / steps) - 1,
      );
  }
}

/** Why time steps with an offset do not fit, and the next smaller number of steps that does. */
function tooFar({ numTrainTimesteps, steps, offset }: SpacingOptions, first: number): string {
  let fewer = steps - 1;
  while (fewer > 0 && firstLeading(numTrainTimesteps, fewer, offset) >= numTrainTimesteps) fewer--;
  const way = fewer > 0 ? `${fewer} steps fit` : 'no number of steps fits';
  return `with steps_offset ${offset}, ${steps} steps begin at time step ${first}, and the last is ${numTrainTimesteps - 1}; ${way}`;
}

/** Throws unless there are 1 to T steps. */
export function checkSteps(sampler: string, steps: number, numTrainTimesteps: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > numTrainTimesteps)
    throw new TensorError(`${sampler}: steps must be a whole number from 1 to ${numTrainTimesteps}, got ${steps}`);
}

/** Beyond this, images cannot be told from noise in f32, nor their ratio be computed with. */
const greatest = 2 ** 100;

/**
 * Checks the standard deviations of the noise, beside an image that is not scaled, at the time steps that sampling visits.
 * Infinity, for noise alone, is let through.
 * @throws TensorError where there is no noise at all, or more than f32 can compute with: steps would divide by 0.
 */
export function checkNoise(sampler: string, timesteps: readonly number[], sigmas: readonly number[]): void {
  for (const [index, t] of timesteps.entries()) {
    const sigma = sigmas[index] as number;
    if (!(sigma > 0))
      throw new TensorError(
        `${sampler}: at time step ${t} the schedule has no noise (all β up to there are 0), so there is nothing to sample`,
      );
    if (sigma > greatest && sigma !== Number.POSITIVE_INFINITY)
      throw new TensorError(
        `${sampler}: at time step ${t} the schedule's noise is ${sigma.toPrecision(3)} times the image, more than f32 can ` +
          'compute with: smaller β, or rescale_betas_zero_snr with prediction_type v_prediction',
      );
  }
}

import { TensorError } from '../../tensor/index.ts';
import type { NoiseSchedule } from '../noise/schedule.ts';
import { interpolate, spreadOf, timestepOf } from './sigmas.ts';
import { checkSteps, evenly, roundHalfEven, type Spacing } from './timesteps.ts';

interface PlaceSettings {
  readonly lambda_min_clipped: number;
  readonly timestep_spacing: Spacing;
  readonly steps_offset: number;
  readonly use_karras_sigmas: boolean;
  readonly use_exponential_sigmas: boolean;
  readonly use_lu_lambdas: boolean;
  readonly sigma_min: number | null;
  readonly sigma_max: number | null;
}

/** Time steps, and the standard deviation of the noise at each. */
interface Places {
  readonly timesteps: readonly number[];
  readonly inner: readonly number[];
}

/**
 * For a number of steps, where a multistep solver takes them; `all` are the standard deviations of the schedule. Steps divide by
 * the way from one place to the next, so only places with less noise than all before are taken: there may be fewer than were
 * asked for.
 */
export function solverPlaces(
  { numTrainTimesteps }: NoiseSchedule,
  all: Float64Array,
  settings: PlaceSettings,
): (steps: number) => Places {
  const { timestep_spacing: spread, steps_offset: offset, lambda_min_clipped: lambdaMin } = settings;
  const otherSpread = spreadOf('dpmSolverMultistep', settings);
  // The last time steps may be left out, where there is hardly any signal.
  const left = all.findLastIndex((sigma) => -Math.log(sigma) >= lambdaMin) + 1;
  if (left === 0)
    throw new TensorError(
      `dpmSolverMultistep: lambda_min_clipped ${lambdaMin} leaves no time step: λ goes from ${(-Math.log(all[0] as number)).toFixed(2)} ` +
        `down to ${(-Math.log(all.at(-1) as number)).toFixed(2)}`,
    );

  const spacedBy = (steps: number): number[] => {
    switch (spread) {
      case 'trailing': {
        const ratio = numTrainTimesteps / steps;
        return Array.from({ length: steps }, (_, i) => roundHalfEven(left - i * ratio) - 1);
      }
      case 'leading': {
        const ratio = Math.floor(left / (steps + 1));
        const first = steps * ratio + offset;
        if (ratio === 0 || first >= numTrainTimesteps) {
          const clipped = left < numTrainTimesteps ? ' that lambda_min_clipped leaves' : '';
          const works = (n: number) => n * Math.floor(left / (n + 1)) + offset < numTrainTimesteps;
          const fewer = Array.from({ length: left - 1 }, (_, i) => left - 1 - i).find((n) => n < steps && works(n));
          throw new TensorError(
            `dpmSolverMultistep: ${steps} leading steps with steps_offset ${offset} do not fit the ${left} time steps${clipped}; ` +
              (fewer === undefined ? 'no number of steps fits' : `${fewer} steps fit`),
          );
        }
        return Array.from({ length: steps }, (_, i) => first - i * ratio);
      }
      case 'linspace':
        return evenly(0, left - 1, steps + 1)
          .map(roundHalfEven)
          .reverse()
          .slice(0, steps);
    }
  };

  return (steps) => {
    checkSteps('dpmSolverMultistep', steps, numTrainTimesteps);
    const places =
      otherSpread === undefined
        ? spacedBy(steps)
            .filter((t) => t >= 0)
            .map((t) => ({ t, sigma: interpolate(all, t) }))
        : otherSpread(all[0] as number, all.at(-1) as number, steps).map((sigma) => ({
            t: roundHalfEven(timestepOf(sigma, all)),
            sigma,
          }));
    let least = Number.POSITIVE_INFINITY;
    const taken = places.filter(({ sigma }) => {
      const isLess = sigma < least;
      if (isLess) least = sigma;
      return isLess;
    });
    return { timesteps: taken.map(({ t }) => t), inner: taken.map(({ sigma }) => sigma) };
  };
}

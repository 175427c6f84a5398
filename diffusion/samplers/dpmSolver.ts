import { split, type Tensor, TensorError } from '../../tensor/index.ts';
import { boolean, type Field, number, numberOrNull, oneOf } from '../config.ts';
import { type NoiseScales, toNoise, toOriginal } from '../noise/prediction.ts';
import { clipOriginal, clippingOf } from './clipping.ts';
import { commonFields, type SettingsOptions, samplerSettings, spacing, thresholdingFields } from './settings.ts';
import { finiteSigmasOf } from './sigmas.ts';
import { solverPlaces } from './solverPlaces.ts';
import { checkNoise } from './timesteps.ts';
import { needNoise, type Sampler } from './trajectory.ts';

/** JSON has no infinity, so files write it as a text, or leave it out. */
const lambdaMin: Field<number> = (value) =>
  value === undefined || value === null || value === '-Infinity' || value === '-inf'
    ? { value: Number.NEGATIVE_INFINITY }
    : number(0)(value);

/** A field with names that other solvers have for one of its values, and that diffusers takes for it too. */
const orElse =
  <T>(field: Field<T>, names: readonly string[], stand: T): Field<T> =>
  (value) =>
    names.includes(value as string) ? { value: stand } : field(value);

export const dpmSolverFields = {
  ...commonFields,
  ...thresholdingFields,
  timestep_spacing: spacing('linspace'),
  solver_order: oneOf(2, 1, 3),
  algorithm_type: orElse(
    oneOf('dpmsolver++', 'sde-dpmsolver++', 'dpmsolver', 'sde-dpmsolver'),
    ['deis'],
    'dpmsolver++',
  ),
  solver_type: orElse(oneOf('midpoint', 'heun'), ['logrho', 'bh1', 'bh2'], 'midpoint'),
  lower_order_final: boolean(true),
  euler_at_final: boolean(false),
  use_karras_sigmas: boolean(false),
  use_lu_lambdas: boolean(false),
  use_exponential_sigmas: boolean(false),
  use_beta_sigmas: oneOf(false),
  use_flow_sigmas: oneOf(false),
  // Shifts of flows, by the size of images.
  use_dynamic_shifting: oneOf(false),
  // Not its own, but as in diffusers they bound σ where that is spread in a way of its own.
  sigma_min: numberOrNull(null),
  sigma_max: numberOrNull(null),
  final_sigmas_type: oneOf('zero', 'sigma_min'),
  lambda_min_clipped: lambdaMin,
  // Of what the network says, only whether it speaks of the variance counts.
  variance_type: oneOf(
    null,
    'learned',
    'learned_range',
    'fixed_small',
    'fixed_small_log',
    'fixed_large',
    'fixed_large_log',
  ),
} as const;

/** A place on the way from noise to image: x = signal·x_0 + noise·ε, and λ = log(signal/noise). */
interface Place extends NoiseScales {
  readonly lambda: number;
}

function placeAt(sigma: number): Place {
  const signal = 1 / Math.sqrt(sigma ** 2 + 1);
  return { signal, noise: sigma * signal, lambda: -Math.log(sigma) };
}

/** Factors of a step: of the sample, of the latest prediction D0, of its differences D1 and D2, and of fresh noise. */
interface Factors {
  readonly sample: number;
  readonly d0: number;
  readonly d1: number;
  readonly d2: number;
  readonly noise: number;
}

/**
 * Multistep solvers of the diffusion ODE or SDE in λ (Lu et al. 2022, DPM-Solver and DPM-Solver++; diffusers'
 * DPMSolverMultistepScheduler), from its configuration or a noise schedule. "++" variants predict the image, the others the
 * noise. Time steps that would be taken twice are left out, and so are those that `lambda_min_clipped` leaves below 0: then
 * there are fewer than were asked for.
 */
export function dpmSolverMultistep(source: unknown = {}, { settings: own }: SettingsOptions = {}): Sampler {
  const name = 'DPMSolverMultistepScheduler';
  const { settings, schedule } = samplerSettings(name, source, dpmSolverFields, own);
  const { prediction_type: prediction, solver_order: order, algorithm_type: algorithm } = settings;
  const predictsImage = algorithm.endsWith('++');
  const isStochastic = algorithm.startsWith('sde');
  if (!predictsImage && settings.final_sigmas_type === 'zero')
    throw new TensorError(
      `${name}: algorithm_type "${algorithm}" cannot end at noise 0; set final_sigmas_type to "sigma_min"`,
    );
  if (isStochastic && order === 3) throw new TensorError(`${name}: "${algorithm}" has solver_order 1 and 2 only`);
  const { variance_type: variance } = settings;
  const saysVariance = variance === 'learned' || variance === 'learned_range';
  const all = finiteSigmasOf(schedule);
  const placesOf = solverPlaces(schedule, all, settings);

  /** How a step from `from` to `to` weighs what it knows; the terms of order 2 and 3 by the way in which D1 is used. */
  const factorsOf = (from: Place, to: Place, third: boolean): Factors => {
    const h = to.lambda - from.lambda;
    const heun = settings.solver_type === 'heun' || third;
    if (predictsImage) {
      const stretch = isStochastic ? 2 : 1;
      const e = Math.expm1(-stretch * h);
      const sample = (to.noise / from.noise) * (isStochastic ? Math.exp(-h) : 1);
      return {
        sample,
        d0: -to.signal * e,
        d1: heun ? to.signal * (e / (stretch * h) + 1) : -0.5 * to.signal * e,
        d2: -to.signal * ((e + h) / h ** 2 - 0.5),
        noise: isStochastic ? to.noise * Math.sqrt(-Math.expm1(-2 * h)) : 0,
      };
    }
    const e = Math.expm1(h);
    const twice = isStochastic ? 2 : 1;
    return {
      sample: to.signal / from.signal,
      d0: -twice * to.noise * e,
      d1: heun ? -twice * to.noise * (e / h - 1) : -0.5 * twice * to.noise * e,
      d2: -to.noise * ((e - h) / h ** 2 - 0.5),
      noise: isStochastic ? to.noise * Math.sqrt(Math.expm1(2 * h)) : 0,
    };
  };

  return (steps) => {
    const { timesteps, inner } = placesOf(steps);
    const sigmas = [...inner, settings.final_sigmas_type === 'zero' ? 0 : (all[0] as number)];
    checkNoise('dpmSolverMultistep', timesteps, inner);
    const count = timesteps.length;
    const isFew = count < 15;
    /** The order of step `index`, for which `known` predictions are there. */
    const orderOf = (index: number, known: number): number => {
      const isLast = index === count - 1;
      const first =
        settings.euler_at_final || (settings.lower_order_final && isFew) || settings.final_sigmas_type === 'zero';
      if (isLast && first) return 1;
      const second = index === count - 2 && settings.lower_order_final && isFew;
      return Math.min(order, known, second ? 2 : 3);
    };
    return {
      timesteps,
      sigmas,
      clipping: clippingOf(settings),
      initNoiseSigma: 1,
      noiseScalesAt: (index) => placeAt(sigmas[index] as number),
      drawsNoise: () => isStochastic,
      start: (noise) => ({ sample: noise, index: 0, history: [] }),
      modelInput: ({ sample }) => sample,
      step: ({ sample, index, history }, modelOutput, noise) => {
        const [from, to] = [placeAt(sigmas[index] as number), placeAt(sigmas[index + 1] as number)];
        const output = saysVariance ? (split(modelOutput, 2, 1)[0] as Tensor) : modelOutput;
        const original = clipOriginal(toOriginal(prediction, sample, output, from), settings);
        // The noise that belongs to the image after thresholding, where there is any.
        const epsilon = () =>
          settings.thresholding ? toNoise('sample', sample, original, from) : toNoise(prediction, sample, output, from);
        const latest = predictsImage ? original : epsilon();
        const outputs = [...history, latest].slice(-order);
        // From the smallest noise to itself ("sigma_min" after the first time step) there is nothing to do.
        if (!(from.lambda < to.lambda)) return { sample, index: index + 1, history: outputs, original };
        const now = orderOf(index, outputs.length);
        const factors = factorsOf(from, to, now === 3);
        let next = sample.mul(factors.sample).add(latest.mul(factors.d0));
        if (now > 1) {
          const h = to.lambda - from.lambda;
          const ratio = (back: number) =>
            (placeAt(sigmas[index - back + 1] as number).lambda - placeAt(sigmas[index - back] as number).lambda) / h;
          const slope = (back: number) =>
            (outputs.at(-back) as Tensor).sub(outputs.at(-back - 1) as Tensor).div(ratio(back));
          const [r0, near] = [ratio(1), slope(1)];
          if (now === 2) next = next.add(near.mul(factors.d1));
          else {
            const r1 = ratio(2);
            const change = near.sub(slope(2));
            const d1 = near.add(change.mul(r0 / (r0 + r1)));
            next = next.add(d1.mul(factors.d1)).add(change.div(r0 + r1).mul(factors.d2));
          }
        }
        if (isStochastic) next = next.add(needNoise('dpmSolverMultistep', noise).mul(factors.noise));
        return { sample: next, index: index + 1, history: outputs, original };
      },
    };
  };
}

import { type Tensor, zipTrees } from '../tensor/index.ts';
import { widened } from './trees.ts';

/** Options of the exponential moving average, as those of diffusers' EMAModel. */
export interface EmaOptions {
  /** The largest decay; default 0.9999. */
  readonly decay?: number;
  readonly minDecay?: number;
  /** Steps before which the average is the parameters themselves; default 0. */
  readonly updateAfterStep?: number;
  /** 1 − (1 + step/invGamma)^−power instead of (1 + step)/(10 + step), for how decay grows at first. */
  readonly warmup?: { readonly invGamma?: number; readonly power?: number } | undefined;
}

/** The decay at a step, counted from 1 (diffusers' EMAModel). */
export function emaDecay(
  step: number,
  { decay = 0.9999, minDecay = 0, updateAfterStep = 0, warmup }: EmaOptions = {},
): number {
  const since = Math.max(0, step - updateAfterStep - 1);
  if (since <= 0) return 0;
  const grown = warmup
    ? 1 - (1 + since / (warmup.invGamma ?? 1)) ** -(warmup.power ?? 2 / 3)
    : (1 + since) / (10 + since);
  return Math.max(Math.min(grown, decay), minDecay);
}

/**
 * An exponential moving average of parameters: average − (1 − decay)·(average − params), in f32 at least. Halves would lose what
 * a step adds, so give it precise parameters, as `preciseParameters` has them, and cast what is saved.
 */
export function emaStep<P>(average: P, params: P, step: number, options?: EmaOptions): P {
  const rest = 1 - emaDecay(step, options);
  return zipTrees(
    (old, p) => {
      const a = widened(old);
      return a.sub(a.sub((p as Tensor).cast(a.dtype)).mul(rest));
    },
    average,
    params,
  );
}

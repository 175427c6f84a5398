import { logSigmoid, sigmoid, type Tensor } from '../../tensor/index.ts';
import type { Objective, TimestepWeight } from './objective.ts';
import { type ErrorChanges, errorChanges, meanSquaredError } from './pairs.ts';
import { below, notNegative, positive, within } from './ranges.ts';

/**
 * The implicit reward margin of each pair, u = −β·W_t·(d_w − d_l), [pairs]; u > 0 where the model ranks the pair as labelled.
 * β is per mean squared error, as in the code of Wallace et al. 2023, where W_t = ½; per summed squared error over D values the
 * same strength is β/D.
 */
export const implicitMargin = ({ winner, loser }: ErrorChanges, beta: number, weight: TimestepWeight = 0.5): Tensor =>
  winner.sub(loser).mul(weight).mul(-beta);

/** An objective that averages a function of u over pairs. */
const ofMargin = (name: string, beta: number, loss: (u: Tensor) => Tensor): Objective => {
  positive(name, 'beta', beta);
  return {
    name,
    compares: 'errors',
    loss: (pairs, weight) => loss(implicitMargin(errorChanges(pairs), beta, weight)).mean(),
  };
};

/** Options of objectives with a margin. */
export interface DpoOptions {
  /** β, the strength of the pull towards the reference, per mean squared error; Wallace et al. 2023 use 2000 to 5000. */
  readonly beta: number;
}

/**
 * −log σ(u), Diffusion-DPO: Wallace et al. 2023, equation 14, as in the released code (mean errors; ε and t shared by a pair).
 * @throws TensorError where β is not above 0, as all objectives with a margin
 */
export const dpo = ({ beta }: DpoOptions): Objective => ofMargin('dpo', beta, (u) => logSigmoid(u).neg());

/**
 * −(1 − e)·log σ(u) − e·log σ(−u): conservative DPO, with labels smoothed by e (Mitchell 2023).
 * @throws TensorError where e is not from 0 to ½
 */
export const cdpo = ({ beta, labelSmoothing }: DpoOptions & { readonly labelSmoothing: number }): Objective => {
  within('cdpo', 'labelSmoothing', labelSmoothing, 0, 0.5);
  return ofMargin('cdpo', beta, (u) =>
    logSigmoid(u)
      .mul(1 - labelSmoothing)
      .add(logSigmoid(u.neg()).mul(labelSmoothing))
      .neg(),
  );
};

/**
 * [−(1 − e)·log σ(u) + e·log σ(−u)] / (1 − 2e): robust DPO, unbiased where a share e of the labels is flipped (Chowdhury et al.
 * 2024).
 * @throws TensorError where e is not at least 0 and below ½
 */
export const robust = ({ beta, flipRate }: DpoOptions & { readonly flipRate: number }): Objective => {
  below('robust', 'flipRate', flipRate, 0, 0.5);
  return ofMargin('robust', beta, (u) =>
    logSigmoid(u.neg())
      .mul(flipRate)
      .sub(logSigmoid(u).mul(1 - flipRate))
      .div(1 - 2 * flipRate),
  );
};

/** max(0, 1 − u): the hinge loss of SLiC (Zhao et al. 2023) on the margin. */
export const hinge = ({ beta }: DpoOptions): Objective => ofMargin('hinge', beta, (u) => u.neg().add(1).maximum(0));

/**
 * KL( Bernoulli(σ(u)) ‖ Bernoulli(q) ) with q = 1 − a, a being the assumed share of wrong labels (DMPO). As in the authors' code,
 * q is clamped to [1e-6, 1 − 1e-6], so that the loss is finite at a = 0 and a = 1.
 * @throws TensorError where a is not from 0 to 1
 */
export const dmpo = ({ beta, a }: DpoOptions & { readonly a: number }): Objective => {
  within('dmpo', 'a', a, 0, 1);
  const q = Math.min(Math.max(1 - a, 1e-6), 1 - 1e-6);
  return ofMargin('dmpo', beta, (u) => {
    const win = sigmoid(u).mul(logSigmoid(u).sub(Math.log(q)));
    const lose = sigmoid(u.neg()).mul(logSigmoid(u.neg()).sub(Math.log(1 - q)));
    return win.add(lose);
  });
};

/**
 * (h − 1/(2τ))² with h = d_l − d_w, without β: the regression of IPO (Azar et al. 2023).
 * @throws TensorError where τ is not above 0
 */
export const ipo = ({ tau }: { readonly tau: number }): Objective => {
  positive('ipo', 'tau', tau);
  return {
    name: 'ipo',
    compares: 'errors',
    loss: (pairs) => {
      const { winner, loser } = errorChanges(pairs);
      return loser
        .sub(winner)
        .sub(1 / (2 * tau))
        .square()
        .mean();
    },
  };
};

/** MSE_θ(w): supervised fine-tuning on the preferred images alone. */
export const sft = (): Objective => ({
  name: 'sft',
  compares: 'nothing',
  loss: ({ winner }) => meanSquaredError(winner.prediction, winner.target).mean(),
});

/**
 * −log σ(u) + α·MSE_θ(w): the second term keeps the likelihood of the preferred images high.
 * @throws TensorError where α is below 0
 */
export const dpoSft = ({ beta, alpha }: DpoOptions & { readonly alpha: number }): Objective => {
  notNegative('dpo+sft', 'alpha', alpha);
  const preference = ofMargin('dpo+sft', beta, (u) => logSigmoid(u).neg());
  const supervised = sft();
  return {
    ...preference,
    loss: (pairs, weight) => preference.loss(pairs, weight).add(supervised.loss(pairs).mul(alpha)),
  };
};

/** `dpo` on the velocities of a flow: x_t = (1 − σ_t)·x_0 + σ_t·ε with the target ε − x_0 (`flowSchedule`). */
export const flowDpo = (options: DpoOptions): Objective => ({ ...dpo(options), name: 'flow-dpo', process: 'flow' });

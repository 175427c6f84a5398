import { grad } from 'diffusion-dpo/autograd';
import {
  cdpo,
  dmpo,
  dpo,
  dpoSft,
  dspo,
  flowDpo,
  hinge,
  ipo,
  kto,
  mapo,
  type Objective,
  type PairOutput,
  pairMetrics,
  robust,
  type SideOutput,
  safeguard,
  sft,
} from 'diffusion-dpo/dpo';
import {
  item,
  openDevice,
  read,
  realize,
  setDefaultDevice,
  stopGradient,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { checkGradients } from 'diffusion-dpo/testing';
import { describe, expect, test } from 'vitest';
import { beta, randomPairs, sigmoid } from './examplePairs.ts';

setDefaultDevice(await openDevice('reference'));

/** Policy and reference have changed places. */
const exchanged = ({ winner, loser }: PairOutput): PairOutput => ({
  winner: { ...winner, prediction: winner.reference as Tensor, reference: winner.prediction },
  loser: { ...loser, prediction: loser.reference as Tensor, reference: loser.prediction },
});
const pairs = await realize(randomPairs(7));

describe('gradients', () => {
  const withPredictions = (winner: Tensor, loser: Tensor): PairOutput => ({
    winner: { ...pairs.winner, prediction: winner },
    loser: { ...pairs.loser, prediction: loser },
  });
  const differentiable = [
    dpo({ beta }),
    sft(),
    dpoSft({ beta, alpha: 0.5 }),
    cdpo({ beta, labelSmoothing: 0.1 }),
    robust({ beta, flipRate: 0.1 }),
    ipo({ tau: 0.5 }),
    hinge({ beta }),
    mapo({ timesteps: 4 }),
    dspo({ beta }),
    dmpo({ beta, a: 0.2 }),
    flowDpo({ beta }),
  ];
  test.each(differentiable.map((objective) => [objective.name, objective] as const))('%s', async (_, objective) => {
    await checkGradients(
      (winner: Tensor, loser: Tensor) => objective.loss(withPredictions(winner, loser)),
      [pairs.winner.prediction, pairs.loser.prediction],
    );
  });

  /**
   * The gradient of an objective against differences of its formula with what it holds fixed as constants: a function with
   * the values of the one and the gradient of the other.
   */
  const checkHeld = (objective: Objective, given: PairOutput, formula: (pairs: PairOutput) => Tensor) =>
    checkGradients(
      (winner: Tensor, loser: Tensor) => {
        const at = { winner: { ...given.winner, prediction: winner }, loser: { ...given.loser, prediction: loser } };
        const loss = objective.loss(at);
        return stopGradient(formula(at).sub(loss)).add(loss);
      },
      [given.winner.prediction, given.loser.prediction],
    );
  const errors = ({ prediction, target }: SideOutput) => prediction.sub(target).square().mean([1, 2]);
  const gains = ({ winner, loser }: PairOutput) =>
    [winner, loser].map((side) =>
      errors({ prediction: side.reference as Tensor, target: side.target }).sub(errors(side)),
    ) as [Tensor, Tensor];

  test.each([
    ['above 0', pairs, true],
    // Far from its reference on the loser's side, so that the mean of g is negative and z = 0, a constant.
    ['0', { ...pairs, loser: { ...pairs.loser, reference: pairs.loser.target } }, false],
  ])('kto, with its baseline %s held fixed', async (_, given, isPositive) => {
    const mean = await item(gains(given)[0].add(gains(given)[1]).mean().mul(0.5));
    // One of the two signs is this seed's; the other is that of its mirror, with the sides' places of the models changed.
    const mirrored = mean > 0 === isPositive ? given : exchanged(given);
    const z = Math.max(0, await item(gains(mirrored)[0].add(gains(mirrored)[1]).mean().mul(0.5)));
    expect(z > 0).toBe(isPositive);
    await checkHeld(kto({ beta, preferredWeight: 1.5 }), mirrored, (at) => {
      const [g, other] = gains(at);
      const preferred = g.sub(z).mul(-beta).sigmoid().mul(1.5);
      return preferred.add(other.sub(z).mul(beta).sigmoid()).mean().mul(0.5);
    });
  });

  test('dspo, with 1 − σ(u) held fixed', async () => {
    const u = await read(pairMetrics(pairs, beta).margin);
    const pull = tensor(
      Array.from(u, (one) => beta * sigmoid(-one)),
      { dtype: 'f64' },
    ).reshape([3, 1, 1]);
    await checkHeld(dspo({ beta, pull: 'fixed' }), pairs, ({ winner: { prediction, target, reference } }) =>
      prediction
        .sub(target)
        .sub(pull.mul(prediction.sub(reference as Tensor)))
        .square()
        .mean(),
    );
  });

  test.each([dpo({ beta }), ipo({ tau: 0.5 }), dpoSft({ beta, alpha: 0.5 })])(
    'safeguard of $name, with its factors held fixed',
    async (objective) => {
      const mu = 0.9;
      const residual = async ({ prediction, target }: SideOutput) => Array.from(await read(prediction.sub(target)));
      const [ofWinner, ofLoser] = [await residual(pairs.winner), await residual(pairs.loser)];
      const inner = (a: readonly number[], b: readonly number[], pair: number) =>
        [0, 1, 2, 3].reduce((sum, i) => sum + (a[4 * pair + i] as number) * (b[4 * pair + i] as number), 0);
      const factors = [0, 1, 2].map((pair) => {
        const overlap = inner(ofLoser, ofWinner, pair);
        return overlap > 0 ? Math.min(1, ((1 - mu) * inner(ofWinner, ofWinner, pair)) / overlap) : 1;
      });
      expect(factors.some((factor) => factor < 1) && factors.includes(1)).toBe(true);
      const factor = tensor(factors, { dtype: 'f64' }).reshape([3, 1, 1]);
      const fixed = pairs.loser.prediction;
      await checkHeld(safeguard(objective, { mu, scope: 'pair' }), pairs, ({ winner, loser }) =>
        objective.loss({
          winner,
          loser: { ...loser, prediction: fixed.add(factor.mul(loser.prediction.sub(fixed))) },
        }),
      );
    },
  );

  test('safeguard scales the loser’s gradient where the sides agree, and nothing else', async () => {
    // One pixel: g_w = 2·0.8 and g_l = 2·0.5 agree; the factor is 0.1·0.8²/(0.8·0.5) = 0.16. In the second pair they disagree.
    const column = (...values: number[]) => tensor(values, { dtype: 'f64' }).reshape([2, 1]);
    const target = column(0, 0);
    const reference = column(0.3, 0.3);
    const outputs = (winner: Tensor, loser: Tensor): PairOutput => ({
      winner: { prediction: winner, target, reference },
      loser: { prediction: loser, target, reference },
    });
    const [winner, loser] = [column(0.8, 0.8), column(0.5, -0.5)];
    const slopes = (objective: Objective) => [
      grad((x: Tensor) => objective.loss(outputs(x, loser)))(winner),
      grad((x: Tensor) => objective.loss(outputs(winner, x)))(loser),
    ];
    const [plainWinner, plainLoser] = slopes(dpo({ beta })) as [Tensor, Tensor];
    const [safeWinner, safeLoser] = slopes(safeguard(dpo({ beta }), { scope: 'pair' })) as [Tensor, Tensor];
    expect(await read(safeWinner)).toEqual(await read(plainWinner));
    const ratio = await read(safeLoser.div(plainLoser));
    expect(ratio[0]).toBeCloseTo(0.16, 12);
    expect(ratio[1]).toBeCloseTo(1, 12);

    // One factor for the micro-batch: 0.1·(0.8² + 0.8²)/(0.8·0.5 + 0.8·0.4 + 1e-9·(2/2)²).
    const near = column(0.5, 0.4);
    const slope = (objective: Objective) => grad((x: Tensor) => objective.loss(outputs(winner, x)))(near);
    const batch = await read(slope(safeguard(dpo({ beta }))).div(slope(dpo({ beta }))));
    for (const one of batch) expect(one).toBeCloseTo(0.128 / (0.72 + 1e-9), 12);
  });
});

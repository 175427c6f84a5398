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
  key,
  openDevice,
  random,
  read,
  realize,
  setDefaultDevice,
  stopGradient,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { checkGradients } from 'diffusion-dpo/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

/** Images of one pixel, so that MSE = (target − prediction)²: targets are 0 and predictions are roots of the errors. */
const pairsOf = (
  winner: number[],
  loser: number[],
  referenceWinner: number[],
  referenceLoser: number[],
): PairOutput => {
  const roots = (errors: number[]) => tensor(errors.map(Math.sqrt), { dtype: 'f64' }).reshape([errors.length, 1]);
  const target = tensor(
    winner.map(() => [0]),
    { dtype: 'f64' },
  );
  return {
    winner: { prediction: roots(winner), target, reference: roots(referenceWinner) },
    loser: { prediction: roots(loser), target, reference: roots(referenceLoser) },
  };
};

/** d_w = −0.1 and 0.3, d_l = 0.2 and 0.1: with β = 2, u = 0.3 and −0.2. */
const example = pairsOf([0.4, 0.8], [0.7, 0.6], [0.5, 0.5], [0.5, 0.5]);
const beta = 2;
const logSigmoid = (x: number) => -Math.log1p(Math.exp(-x));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const mean = (f: (u: number) => number) => (f(0.3) + f(-0.2)) / 2;
const valueOf = async (objective: Objective, pairs = example) => item(objective.loss(pairs));
const phi = (z: number) => (0.5 * z) / Math.expm1(0.5 * z);

describe('values by hand', () => {
  const e = 0.1;
  const cases: [Objective, number][] = [
    [dpo({ beta }), mean((u) => -logSigmoid(u))],
    [sft(), 0.6],
    [dpoSft({ beta, alpha: 3 }), mean((u) => -logSigmoid(u)) + 3 * 0.6],
    [cdpo({ beta, labelSmoothing: e }), mean((u) => -(1 - e) * logSigmoid(u) - e * logSigmoid(-u))],
    [robust({ beta, flipRate: e }), mean((u) => (-(1 - e) * logSigmoid(u) + e * logSigmoid(-u)) / (1 - 2 * e))],
    [ipo({ tau: 2 }), ((0.3 - 0.25) ** 2 + (-0.2 - 0.25) ** 2) / 2],
    [hinge({ beta }), (0.7 + 1.2) / 2],
    [
      // The mean of g = (0.1, −0.3, −0.2, −0.1) is negative, so z = 0.
      kto({ beta }),
      (1 -
        sigmoid(beta * 0.1) +
        (1 - sigmoid(beta * -0.3)) +
        (1 - sigmoid(-beta * -0.2)) +
        (1 - sigmoid(-beta * -0.1))) /
        4,
    ],
    [
      mapo({ timesteps: 10 }),
      (0.4 - 0.1 * logSigmoid(10 * (phi(0.4) - phi(0.7))) + (0.8 - 0.1 * logSigmoid(10 * (phi(0.8) - phi(0.6))))) / 2,
    ],
    [
      dspo({ beta }),
      ((Math.sqrt(0.4) - beta * sigmoid(-0.3) * (Math.sqrt(0.4) - Math.sqrt(0.5))) ** 2 +
        (Math.sqrt(0.8) - beta * sigmoid(0.2) * (Math.sqrt(0.8) - Math.sqrt(0.5))) ** 2) /
        2,
    ],
    [
      dmpo({ beta, a: 0.2 }),
      mean((u) => sigmoid(u) * Math.log(sigmoid(u) / 0.8) + sigmoid(-u) * Math.log(sigmoid(-u) / 0.2)),
    ],
    [flowDpo({ beta }), mean((u) => -logSigmoid(u))],
    [safeguard(dpo({ beta })), mean((u) => -logSigmoid(u))],
  ];
  test.each(cases.map(([objective, expected]) => [objective.name, objective, expected] as const))(
    '%s',
    async (_, objective, expected) => expect(await valueOf(objective)).toBeCloseTo(expected, 12),
  );

  test('kto subtracts the mean of g where it is positive', async () => {
    // g: 0.3 and 0.1 on the preferred side, 0 on the other; z = 0.1.
    const pairs = pairsOf([0.2, 0.4], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]);
    const g = [0.3 - 0.1, 0.1 - 0.1];
    const expected = (g.reduce((sum, x) => sum + 1 - sigmoid(2 * x), 0) + 2 * (1 - sigmoid(0.2))) / 4;
    expect(await valueOf(kto({ beta }), pairs)).toBeCloseTo(expected, 12);
  });

  test('a time-step weight scales the margin of its pair', async () => {
    const weight = tensor([1, 0.25], { dtype: 'f64' });
    const expected = -(logSigmoid(0.6) + logSigmoid(-0.1)) / 2;
    expect(await item(dpo({ beta }).loss(example, weight))).toBeCloseTo(expected, 12);
  });

  test('reference errors may be given instead of predictions', async () => {
    const half = tensor([0.5, 0.5], { dtype: 'f64' });
    const { winner, loser } = example;
    const precomputed = {
      winner: { prediction: winner.prediction, target: winner.target, referenceError: half },
      loser: { prediction: loser.prediction, target: loser.target, referenceError: half },
    };
    expect(await valueOf(dpo({ beta }), precomputed)).toBeCloseTo(await valueOf(dpo({ beta })), 12);
    expect(() => dspo({ beta }).loss(precomputed)).toThrow('dspo: the reference model’s prediction is needed');
  });

  test('dmpo is finite where all labels are taken to be right, or wrong', async () => {
    const to = (q: number) => (u: number) =>
      sigmoid(u) * Math.log(sigmoid(u) / q) + sigmoid(-u) * Math.log(sigmoid(-u) / (1 - q));
    expect(await valueOf(dmpo({ beta, a: 0 }))).toBeCloseTo(mean(to(1 - 1e-6)), 10);
    expect(await valueOf(dmpo({ beta, a: 1 }))).toBeCloseTo(mean(to(1e-6)), 10);
  });

  test('kto takes other numbers of preferred and other images', async () => {
    const pairs = pairsOf([0.2, 0.4], [0.6, 0.6], [0.5, 0.5], [0.5, 0.5]);
    const one = tensor([[Math.sqrt(0.6)]], { dtype: 'f64' });
    const half = tensor([[Math.sqrt(0.5)]], { dtype: 'f64' });
    const loser = { prediction: one, target: tensor([[0]], { dtype: 'f64' }), reference: half };
    // g = 0.3, 0.1 and −0.1: z = 0.1.
    const expected = (1 - sigmoid(0.4) + 0.5 + 0.7 * (1 - sigmoid(-2 * -0.2))) / 3;
    expect(await valueOf(kto({ beta, otherWeight: 0.7 }), { winner: pairs.winner, loser })).toBeCloseTo(expected, 12);
  });

  test('mapo has finite gradients where errors are large', async () => {
    const [target, prediction] = [tensor([[0]], { dtype: 'f64' }), tensor([[60]], { dtype: 'f64' })];
    const side = { prediction, target };
    const slope = grad((x: Tensor) => mapo().loss({ winner: { ...side, prediction: x }, loser: side }))(prediction);
    // Of MSE_w alone: φ is nothing there.
    expect(await item(slope)).toBeCloseTo(120, 9);
  });

  test('metrics', async () => {
    const { winnerChange, loserChange, margin, correct } = pairMetrics(
      pairsOf([0.4, 0.8, 0.5], [0.7, 0.6, 0.5], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
      beta,
    );
    const close = async (x: Tensor, values: number[]) =>
      (await read(x)).forEach((value, i) => {
        expect(value).toBeCloseTo(values[i] ?? Number.NaN, 12);
      });
    await close(winnerChange, [-0.1, 0.3, 0]);
    await close(loserChange, [0.2, 0.1, 0]);
    await close(margin, [0.3, -0.2, 0]);
    await close(correct, [1, 0, 0.5]);
  });
});

/** Random pairs whose reference is near the policy. */
function randomPairs(seed: number, distance = 0.3): PairOutput {
  const [a, b] = random.split(key(seed));
  const side = (sideKey: Tensor) => {
    const [first, second, third] = random.split(sideKey, 3) as [Tensor, Tensor, Tensor];
    const draw = (from: Tensor) => random.normal(from, [3, 2, 2], { dtype: 'f64' });
    const prediction = draw(first);
    return { prediction, target: draw(second), reference: prediction.add(draw(third).mul(distance)) };
  };
  return { winner: side(a), loser: side(b) };
}

const swapped = ({ winner, loser }: PairOutput): PairOutput => ({ winner: loser, loser: winner });
/** Policy and reference have changed places. */
const exchanged = ({ winner, loser }: PairOutput): PairOutput => ({
  winner: { ...winner, prediction: winner.reference as Tensor, reference: winner.prediction },
  loser: { ...loser, prediction: loser.reference as Tensor, reference: loser.prediction },
});
const atReference = ({ winner, loser }: PairOutput): PairOutput => ({
  winner: { ...winner, reference: winner.prediction },
  loser: { ...loser, reference: loser.prediction },
});

describe('properties', () => {
  const seeds = fc.integer({ min: 0, max: 1e6 });
  const holds = (property: (pairs: PairOutput) => Promise<void>) =>
    fc.assert(
      fc.asyncProperty(seeds, (seed) => property(randomPairs(seed))),
      { numRuns: 20 },
    );

  test('dpo is log 2 where the policy is the reference, and its gradient is not 0', () =>
    holds(async (pairs) => {
      const same = atReference(pairs);
      expect(await valueOf(dpo({ beta: 5000 }), same)).toBeCloseTo(Math.LN2, 14);
      const slope = grad((prediction: Tensor) =>
        dpo({ beta: 5000 }).loss({ ...same, winner: { ...same.winner, prediction } }),
      )(same.winner.prediction);
      expect(await item(slope.abs().max())).toBeGreaterThan(0.1);
    }));

  test('swapping the sides turns the margin around', () =>
    holds(async (pairs) => {
      const [forth, back] = [pairMetrics(pairs, beta).margin, pairMetrics(swapped(pairs), beta).margin];
      expect(await item(forth.add(back).abs().max())).toBeLessThan(1e-15);
      // A label that is wrong half of the time says nothing.
      const half = cdpo({ beta, labelSmoothing: 0.5 });
      expect(await valueOf(half, swapped(pairs))).toBeCloseTo(await valueOf(half, pairs), 13);
    }));

  test('without smoothing, flips or supervision, the variants are dpo', () =>
    holds(async (pairs) => {
      const expected = await valueOf(dpo({ beta }), pairs);
      for (const variant of [
        cdpo({ beta, labelSmoothing: 0 }),
        robust({ beta, flipRate: 0 }),
        dpoSft({ beta, alpha: 0 }),
      ])
        expect(await valueOf(variant, pairs)).toBeCloseTo(expected, 14);
    }));

  test('robust is dpo on average where labels are flipped at its rate', () =>
    holds(async (pairs) => {
      const e = 0.2;
      const loss = robust({ beta, flipRate: e });
      const average = (1 - e) * (await valueOf(loss, pairs)) + e * (await valueOf(loss, swapped(pairs)));
      expect(average).toBeCloseTo(await valueOf(dpo({ beta }), pairs), 12);
    }));

  test('dmpo is never negative, and 0 where σ(u) is 1 − a', async () => {
    await holds(async (pairs) => {
      expect(await valueOf(dmpo({ beta, a: 0.3 }), pairs)).toBeGreaterThanOrEqual(0);
    });
    const u = Math.log(0.7 / 0.3);
    expect(await valueOf(dmpo({ beta: 2 * u, a: 0.3 }), pairsOf([0], [1], [0.5], [0.5]))).toBeCloseTo(0, 14);
  });

  test('dpo, cdpo, hinge and mapo fall when the winner is predicted better', () =>
    holds(async (pairs) => {
      const better = {
        ...pairs,
        winner: { ...pairs.winner, prediction: pairs.winner.prediction.add(pairs.winner.target).mul(0.5) },
      };
      for (const objective of [dpo({ beta }), cdpo({ beta, labelSmoothing: 0 }), hinge({ beta: 0.1 }), mapo()])
        expect(await valueOf(objective, better)).toBeLessThan(await valueOf(objective, pairs));
    }));

  test('dspo is sft where the policy is the reference', () =>
    holds(async (pairs) => {
      const same = atReference(pairs);
      expect(await valueOf(dspo({ beta }), same)).toBeCloseTo(await valueOf(sft(), same), 13);
    }));

  test('mapo is continuous where an error is 0', async () => {
    const loss = (winner: number) => valueOf(mapo(), pairsOf([winner], [0.001], [1], [1]));
    expect(await loss(0)).toBeCloseTo(await loss(1e-9), 6);
  });
});

const fixedPairs = await realize(randomPairs(7));

describe('gradients', () => {
  const pairs = fixedPairs;
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

test('options that make no sense are refused', () => {
  expect(() => safeguard(dpo({ beta }), { mu: 1.5 })).toThrow('safeguard: mu must be a number from 0 to 1, got 1.5');
  expect(safeguard(dpo({ beta }), { mu: 0 }).name).toBe('dpo with safeguard');
  const wrong: [() => unknown, string][] = [
    [() => dmpo({ beta, a: -0.1 }), 'dmpo: a must be a number from 0 to 1, got -0.1'],
    [() => dmpo({ beta, a: Number.NaN }), 'dmpo: a must be a number from 0 to 1, got NaN'],
    [() => dmpo({ beta: Infinity, a: 0.1 }), 'dmpo: beta must be a positive number, got Infinity'],
    [() => cdpo({ beta, labelSmoothing: 0.6 }), 'cdpo: labelSmoothing must be a number from 0 to 0.5, got 0.6'],
    [() => dpoSft({ beta, alpha: -1 }), 'dpo+sft: alpha must be a number from 0 up, got -1'],
    [() => dpoSft({ beta: 0, alpha: 1 }), 'dpo+sft: beta must be a positive number, got 0'],
    [() => ipo({ tau: 0 }), 'ipo: tau must be a positive number, got 0'],
    [() => ipo({ tau: 1e-320 }), 'ipo: tau must be a positive number'],
    [() => kto({ beta, preferredWeight: Number.NaN }), 'kto: preferredWeight must be a number from 0 up, got NaN'],
    [() => kto({ beta, otherWeight: -1 }), 'kto: otherWeight must be a number from 0 up, got -1'],
    [() => kto({ beta, preferredWeight: 0, otherWeight: 0 }), 'kto: preferredWeight and otherWeight are both 0'],
    [() => mapo({ b: -1 }), 'mapo: b must be a number from 0 up, got -1'],
    [() => mapo({ b: Infinity }), 'mapo: b must be a number from 0 up, got Infinity'],
    [() => mapo({ s: 0 }), 'mapo: s must be a positive number, got 0'],
    [() => mapo({ timesteps: 0.5 }), 'mapo: timesteps must be a whole number from 1 up, got 0.5'],
    [() => dspo({ beta, pull: 'held' as 'fixed' }), 'dspo: pull must be one of differentiated, fixed, got held'],
    [() => safeguard(sft(), { scope: 'all' as 'pair' }), 'safeguard: scope must be one of batch, pair, got all'],
    [() => safeguard(sft(), { mu: Number.NaN }), 'safeguard: mu must be a number from 0 to 1, got NaN'],
  ];
  for (const [make, message] of wrong) expect(make).toThrow(message);
  expect(() => dpo({ beta: 0 })).toThrow('dpo: beta must be a positive number, got 0');
  expect(() => robust({ beta, flipRate: 0.5 })).toThrow('robust: flipRate must be at least 0 and below 0.5, got 0.5');
  expect(() =>
    dpo({ beta }).loss({ winner: { ...example.winner, reference: undefined }, loser: example.loser }),
  ).toThrow('this objective compares with the reference model');
});

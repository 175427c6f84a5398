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
  pairMetrics,
  robust,
  safeguard,
  sft,
} from 'diffusion-dpo/dpo';
import { item, openDevice, read, setDefaultDevice, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { beta, example, pairsOf, sigmoid, valueOf } from './examplePairs.ts';

setDefaultDevice(await openDevice('reference'));

const logSigmoid = (x: number) => -Math.log1p(Math.exp(-x));
const mean = (f: (u: number) => number) => (f(0.3) + f(-0.2)) / 2;
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

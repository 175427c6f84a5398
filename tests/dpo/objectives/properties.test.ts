import { grad } from 'diffusion-dpo/autograd';
import {
  cdpo,
  dmpo,
  dpo,
  dpoSft,
  dspo,
  hinge,
  mapo,
  type PairOutput,
  pairMetrics,
  robust,
  sft,
} from 'diffusion-dpo/dpo';
import { item, openDevice, setDefaultDevice, type Tensor } from 'diffusion-dpo/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { beta, pairsOf, randomPairs, valueOf } from './examplePairs.ts';

setDefaultDevice(await openDevice('reference'));

const swapped = ({ winner, loser }: PairOutput): PairOutput => ({ winner: loser, loser: winner });
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

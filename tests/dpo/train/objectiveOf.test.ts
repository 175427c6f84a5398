import { grad } from 'diffusion-dpo/autograd';
import type { PairOutput, TrainSettings } from 'diffusion-dpo/dpo';
import * as objectives from 'diffusion-dpo/dpo';
import { item, key, openDevice, random, setDefaultDevice, type Tensor } from 'diffusion-dpo/tensor';
import { expect, test } from 'vitest';
import { objectiveOf } from '../../../dpo/train/objectiveOf.ts';
import { settingsOf, T } from './analyticRun.ts';

setDefaultDevice(await openDevice('reference'));

const [a, b, c, d, e, f] = random.split(key(1), 6).map((own) => random.normal(own, [3, 4]).mul(0.3));
const output = {
  winner: { target: a, prediction: b, reference: c },
  loser: { target: d, prediction: e, reference: f },
} as PairOutput;

test.each([
  ['dpo', {}, objectives.dpo({ beta: 3 })],
  ['sft', {}, objectives.sft()],
  ['dpo+sft', { sftWeight: 0.3 }, objectives.dpoSft({ beta: 3, alpha: 0.3 })],
  ['cdpo', { labelSmoothing: 0.3 }, objectives.cdpo({ beta: 3, labelSmoothing: 0.3 })],
  ['robust', { flipRate: 0.3 }, objectives.robust({ beta: 3, flipRate: 0.3 })],
  ['ipo', { ipoTau: 2 }, objectives.ipo({ tau: 2 })],
  ['hinge', {}, objectives.hinge({ beta: 3 })],
  ['kto', {}, objectives.kto({ beta: 3 })],
  ['mapo', { mapoWeight: 0.7 }, objectives.mapo({ b: 0.7, timesteps: T })],
  ['dspo', {}, objectives.dspo({ beta: 3 })],
  ['dmpo', { mislabelled: 0.3 }, objectives.dmpo({ beta: 3, a: 0.3 })],
  ['flow-dpo', {}, objectives.flowDpo({ beta: 3 })],
] as const)('%s takes its settings %o', async (name, changes, wanted) => {
  const loss = (objective: objectives.Objective) => item(objective.loss(output, 0.7));
  const settings = settingsOf('out', { objective: name, beta: 3, ...changes } as Partial<TrainSettings>);
  const made = objectiveOf(settings, T);
  expect(made.name).toBe(name);
  expect(await loss(made)).toBe(await loss(wanted));
  // Each of its settings changes the loss.
  const others: Partial<TrainSettings> = { sft: {}, ipo: {}, mapo: {} }[name as string] ?? { beta: 4 };
  for (const other of [...Object.entries(others), ...Object.entries(changes)].map(([one, value]) => ({
    [one]: Number(value) * 1.2,
  }))) {
    expect(await loss(objectiveOf({ ...settings, ...other }, T))).not.toBe(await loss(wanted));
  }
  if (name === 'mapo') expect(await loss(objectiveOf(settings, T + 1))).not.toBe(await loss(wanted));
});

/** Of the loss by the loser's prediction, squared and summed: what safeguard changes, and whether dspo's pull has a gradient. */
async function slope(objective: objectives.Objective): Promise<number> {
  const loss = (prediction: Tensor) =>
    objective.loss({ ...output, loser: { ...output.loser, target: a as Tensor, prediction } }, 0.7);
  return item(
    grad(loss)(e as Tensor)
      .square()
      .sum(),
  );
}

test('safeguard takes its μ and its scope, around any objective', async () => {
  const settings = settingsOf('out', { beta: 3 });
  const plain = await slope(objectives.dpo({ beta: 3 }));
  const guarded = await slope(objectives.safeguard(objectives.dpo({ beta: 3 }), { mu: 0.8 }));
  expect(guarded).not.toBe(plain);
  expect(await slope(objectiveOf(settings, T))).toBe(plain);
  expect(await slope(objectiveOf({ ...settings, safeguard: 0.8 }, T))).toBe(guarded);
  expect(await slope(objectiveOf({ ...settings, safeguard: 0.99 }, T))).not.toBe(guarded);
  const each = await slope(objectives.safeguard(objectives.dpo({ beta: 3 }), { mu: 0.8, scope: 'pair' }));
  expect(each).not.toBe(guarded);
  expect(await slope(objectiveOf({ ...settings, safeguard: 0.8, safeguardScope: 'pair' }, T))).toBe(each);
});

test('dspo takes its pull', async () => {
  const settings = settingsOf('out', { objective: 'dspo', beta: 3 });
  expect(await slope(objectiveOf(settings, T))).toBeGreaterThan(0);
  expect(await slope(objectiveOf({ ...settings, dspoPull: 'differentiated' }, T))).toBeGreaterThan(0);
  expect(await slope(objectiveOf({ ...settings, dspoPull: 'fixed' }, T))).toBe(0);
});

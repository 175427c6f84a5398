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
  lossAtReference,
  mapo,
  type Objective,
  robust,
  safeguard,
  sft,
} from 'diffusion-dpo/dpo';
import { describe, expect, test } from 'vitest';

const log2 = Math.log(2);
/** By each objective's equation at u = 0 and d = 0. */
const first: readonly (readonly [string, Objective, number | undefined])[] = [
  ['dpo', dpo({ beta: 5000 }), log2],
  ['flow-dpo', flowDpo({ beta: 100 }), log2],
  ['cdpo', cdpo({ beta: 5000, labelSmoothing: 0.1 }), log2],
  ['robust', robust({ beta: 5000, flipRate: 0.2 }), log2],
  ['hinge', hinge({ beta: 5000 }), 1],
  // ½·log(½/0.9) + ½·log(½/0.1) = −log 2 − ½·log 0.09
  ['dmpo', dmpo({ beta: 5000, a: 0.1 }), -log2 - Math.log(0.09) / 2],
  ['ipo', ipo({ tau: 50 }), 1e-4],
  ['kto', kto({ beta: 5000 }), 0.5],
  ['kto with weights', kto({ beta: 5000, preferredWeight: 2, otherWeight: 0.5 }), 0.625],
  ['dpo with safeguard', safeguard(dpo({ beta: 5000 }), { mu: 0.9 }), log2],
  ['hinge with safeguard', safeguard(hinge({ beta: 5000 })), 1],
  ['sft', sft(), undefined],
  ['dpo+sft', dpoSft({ beta: 5000, alpha: 1 }), undefined],
  ['mapo', mapo(), undefined],
  ['dspo', dspo({ beta: 5000 }), undefined],
];

describe('lossAtReference', () => {
  test.each(first)('of %s follows from its equation', async (_, objective, expected) => {
    const value = await lossAtReference(objective);
    if (expected === undefined) expect(value).toBeUndefined();
    // f32 rounds within 2^−24 a few times.
    else expect(Math.abs((value ?? Number.NaN) / expected - 1)).toBeLessThan(1e-6);
  });
});

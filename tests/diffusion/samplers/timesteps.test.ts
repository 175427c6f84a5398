import { ddim, ddpm, dpmSolverMultistep, euler, pndm } from 'diffusion-dpo/diffusion';
import { describe, expect, test } from 'vitest';

// np.round and torch.round take halves to the even neighbour: 937.5 is 938, 812.5 is 812, 166.5 is 166, 499.5 is 500.
describe('time steps between two whole numbers are rounded to the even one:', () => {
  const trailing = [999, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311, 249, 187, 124, 61];

  test('trailing', () => {
    for (const sampler of [ddim, ddpm, euler, dpmSolverMultistep])
      expect(sampler({ timestep_spacing: 'trailing' })(16).timesteps).toEqual(trailing);
  });

  test('linspace', () => {
    for (const sampler of [ddim, ddpm])
      expect(sampler({ timestep_spacing: 'linspace' })(7).timesteps).toEqual([999, 832, 666, 500, 333, 166, 0]);
    expect(dpmSolverMultistep()(6).timesteps).toEqual([999, 832, 666, 500, 333, 166]);
    // Euler's are not rounded.
    expect(euler()(7).timesteps).toEqual([999, 832.5, 666, 499.5, 333, 166.5, 0]);
  });
});

test('leading time steps are multiples of ⌊T/steps⌋, from the offset on', () => {
  expect(ddim({ steps_offset: 1 })(3).timesteps).toEqual([667, 334, 1]);
  // DPM-Solver's of ⌊T/(steps + 1)⌋, without the smallest.
  const config = { timestep_spacing: 'leading', steps_offset: 1 };
  expect(dpmSolverMultistep(config)(3).timesteps).toEqual([751, 501, 251]);
});

test('the first step of PNDM is made twice, or the first three are of the Runge–Kutta kind', () => {
  expect(pndm({ skip_prk_steps: true })(5).timesteps).toEqual([800, 600, 600, 400, 200, 0]);
  expect(pndm({ skip_prk_steps: true })(1).timesteps).toEqual([0]);
  // Four evaluations each: at the step, twice halfway to the next one, and at that.
  expect(pndm()(5).timesteps).toEqual([
    ...[800, 700, 700, 600],
    ...[600, 500, 500, 400],
    ...[400, 300, 300, 200],
    200,
    0,
  ]);
  // Halfway is ⌊⌊T/steps⌋/2⌋ = 71 above the next one: diffusers counts from there.
  expect(pndm()(7).timesteps.slice(0, 4)).toEqual([852, 781, 781, 710]);
  expect(pndm({ timestep_spacing: 'linspace' })(4).timesteps).toEqual([
    ...[999, 791, 791, 666],
    ...[666, 458, 458, 333],
    ...[333, 125, 125, 0],
    0,
  ]);
});

test('a sampler tells how its sample is mixed at each step', () => {
  const { signal, noise } = ddim()(4).noiseScalesAt(1);
  expect(signal ** 2 + noise ** 2).toBeCloseTo(1, 12);
  expect(noise / signal).toBeCloseTo(euler({ timestep_spacing: 'leading' })(4).noiseScalesAt(1).noise, 10);
});

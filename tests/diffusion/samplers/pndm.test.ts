import { noiseSchedule, pndm, type SamplerState } from 'diffusion-dpo/diffusion';
import { item, openDevice, setDefaultDevice, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const unit = (value: number) => tensor([[value]], { dtype: 'f64' });
const { alphasCumprod } = noiseSchedule();
const bar = (t: number) => (t >= 0 ? (alphasCumprod[t] as number) : (alphasCumprod[0] as number));

/** Equation 9 of Liu et al. 2022: along ε from one time step to another. */
function transfer(x: number, epsilon: number, from: number, to: number): number {
  const [a, b] = [bar(from), bar(to)];
  return (
    Math.sqrt(b / a) * x - ((b - a) / (Math.sqrt(a) * (Math.sqrt((1 - b) * a) + Math.sqrt((1 - a) * b)))) * epsilon
  );
}

describe('PNDM', () => {
  test('steps along the Adams–Bashforth combination of the last four predictions', async () => {
    const trajectory = pndm({ skip_prk_steps: true })(10);
    // Time steps 900, 800, 800, 700, 600, …
    const known: readonly (readonly number[])[] = [[0.5], [0.5, -0.2], [0.5, -0.2, 1.1]];
    const weights = [
      [3 / 2, -1 / 2],
      [23 / 12, -16 / 12, 5 / 12],
      [55 / 24, -59 / 24, 37 / 24, -9 / 24],
    ];
    for (const [i, history] of known.entries()) {
      const state: SamplerState = { sample: unit(0.7), index: 3 + i, history: history.map(unit) };
      const slope = [...history, 0.3]
        .toReversed()
        .reduce((sum, value, back) => sum + value * (weights[i]?.[back] as number), 0);
      const t = trajectory.timesteps[3 + i] as number;
      expect(await item(trajectory.step(state, unit(0.3)).sample)).toBeCloseTo(transfer(0.7, slope, t, t - 100), 12);
    }
  });

  test('makes its first step twice, the second time along the mean of both ends', async () => {
    const trajectory = pndm({ skip_prk_steps: true })(10);
    let state = { ...trajectory.start(unit(0.7)) };
    state = { ...trajectory.step(state, unit(0.4)) };
    expect(await item(state.sample)).toBeCloseTo(transfer(0.7, 0.4, 900, 800), 12);
    state = { ...trajectory.step(state, unit(-0.2)) };
    expect(await item(state.sample)).toBeCloseTo(transfer(0.7, 0.1, 900, 800), 12);
  });

  test.each([
    // Halfway, ⌊stride/2⌋ on; a half step before the next one; that one, twice.
    ['leading', 10, [900, 850, 850, 800], [850, 850, 800, 800]],
    ['linspace', 4, [999, 791, 791, 666], [874, 791, 666, 666]],
  ] as const)(
    'makes Runge–Kutta steps between the time steps that it is told of: %s',
    async (spacing, steps, told, to) => {
      const trajectory = pndm({ timestep_spacing: spacing })(steps);
      expect(trajectory.timesteps.slice(0, 4)).toEqual(told);
      const outputs = [0.4, -0.2, 0.9, 0.1];
      let state: SamplerState = trajectory.start(unit(0.7));
      for (const [stage, output] of outputs.entries()) {
        state = trajectory.step(state, unit(output));
        const slope = stage < 3 ? output : (0.4 + 2 * -0.2 + 2 * 0.9 + 0.1) / 6;
        expect(await item(state.sample as Tensor)).toBeCloseTo(transfer(0.7, slope, told[0], to[stage] as number), 12);
      }
    },
  );
});

import {
  ddim,
  ddpm,
  dpmSolverMultistep,
  euler,
  eulerAncestral,
  flowMatchEuler,
  flowSchedule,
  noiseSchedule,
  pndm,
  type Sampler,
} from 'diffusion-dpo/diffusion';
import { openDevice, read, setDefaultDevice, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const f64 = { dtype: 'f64' } as const;
const numbers = async (x: Tensor | undefined): Promise<number[]> => (x === undefined ? [] : Array.from(await read(x)));

/** What the first step of a sampler takes for the image, and gives. */
async function firstStep(sampler: Sampler, steps: number, x: Tensor, output: Tensor) {
  const trajectory = sampler(steps);
  const state = { ...trajectory.start(x), sample: x };
  const { sample, original } = trajectory.step(state, output, x.mul(0));
  return { sample: await numbers(sample), original: await numbers(original), trajectory };
}

describe('a sampler from a noise schedule', () => {
  const schedule = noiseSchedule({ numTrainTimesteps: 50, betaSchedule: 'squaredcos_cap_v2' });
  const [x, output] = [tensor([[3, -0.5]], f64), tensor([[0.4, 1]], f64)];
  const makers = { ddpm, ddim, euler, eulerAncestral, dpmSolverMultistep, pndm };

  test.each(Object.entries(makers))('%s is the one from a configuration that does not clip', async (_, maker) => {
    const config = { num_train_timesteps: 50, beta_schedule: 'squaredcos_cap_v2', clip_sample: false };
    const settings = { skip_prk_steps: true, timestep_spacing: 'trailing', prediction_type: 'v_prediction' };
    const [given, read] = [maker(schedule, { settings }), maker({ ...config, ...settings })];
    for (const steps of [1, 7]) {
      const [a, b] = [await firstStep(given, steps, x, output), await firstStep(read, steps, x, output)];
      expect(a.sample).toEqual(b.sample);
      expect(a.trajectory.timesteps).toEqual(b.trajectory.timesteps);
      expect(a.trajectory.clipping).toBeUndefined();
    }
  });

  test('clips where the settings say so, and says it', async () => {
    for (const maker of [ddpm, ddim]) {
      const settings = { clip_sample: true, clip_sample_range: 0.5, prediction_type: 'sample' };
      const { original, trajectory } = await firstStep(maker(schedule, { settings }), 5, x, output);
      expect(original).toEqual([0.4, 0.5]);
      expect(trajectory.clipping).toBe('clips predicted images to [−0.5, 0.5] (clip_sample)');
    }
    // Files clip unless they say otherwise.
    expect(ddim()(5).clipping).toBe('clips predicted images to [−1, 1] (clip_sample)');
    expect(ddpm({ clip_sample: false })(5).clipping).toBeUndefined();
  });

  test('is not told of another schedule beside it', () => {
    expect(() => ddim(schedule, { settings: { beta_start: 0.1, num_train_timesteps: 3 } })).toThrow(
      'DDIMScheduler: the noise schedule is given, so the settings must not have num_train_timesteps, beta_start',
    );
    expect(() => ddim(schedule, { settings: { timestep_spaceing: 'trailing' } })).toThrow('timestep_spaceing');
    expect(() => ddim(flowSchedule())).toThrow('this is the schedule of a flow');
  });

  test('settings stand in for fields of a configuration', () => {
    const own = { settings: { timestep_spacing: 'trailing' } };
    expect(ddim({ timestep_spacing: 'leading' }, own)(4).timesteps).toEqual([999, 749, 499, 249]);
  });

  test('of a flow is the one from its configuration', async () => {
    const flow = flowSchedule({ numTrainTimesteps: 40, shift: 3 });
    const given = await firstStep(flowMatchEuler(flow), 5, x, output);
    const configured = await firstStep(flowMatchEuler({ num_train_timesteps: 40, shift: 3 }), 5, x, output);
    expect(given.sample).toEqual(configured.sample);
    expect(given.trajectory.sigmas).toEqual(configured.trajectory.sigmas);
    const stochastic = flowMatchEuler(flow, { settings: { stochastic_sampling: true } })(3);
    expect(stochastic.drawsNoise(0)).toBe(true);
    expect(() => flowMatchEuler(flow, { settings: { shift: 2 } })).toThrow('must not have shift');
    expect(() => flowMatchEuler(schedule)).toThrow('needs the schedule of a flow');
  });
});

describe('thresholding', () => {
  // At σ = 1 the mixture is (1, 1)/√2: of β = 0.5 at once.
  const config = { num_train_timesteps: 2, trained_betas: [0.2, 0.375], thresholding: true, sample_max_value: 9 };

  test.each(['dpmsolver', 'sde-dpmsolver'])('of %s reaches the noise that it steps along', async (algorithm) => {
    // x = √½·x_0 + √½·ε with ᾱ = 0.8·0.625 = ½: at x = 0, ε = −x_0. The largest |x_0| of 4 is the quantile 1, so x_0/4 is taken.
    const step = async (thresholding: boolean) => {
      const sampler = dpmSolverMultistep({
        ...config,
        thresholding,
        dynamic_thresholding_ratio: 1,
        algorithm_type: algorithm,
        final_sigmas_type: 'sigma_min',
        timestep_spacing: 'trailing',
      });
      return firstStep(sampler, 2, tensor([[0, 0]], f64), tensor([[4, -2]], f64));
    };
    const [plain, bounded] = [await step(false), await step(true)];
    expect(plain.original).toEqual([-4, 2].map((value) => expect.closeTo(value, 12)));
    expect(bounded.original).toEqual([-1, 0.5].map((value) => expect.closeTo(value, 12)));
    // The step is linear in ε, and x is 0.
    expect(bounded.sample).toEqual(plain.sample.map((value) => expect.closeTo(value / 4, 12)));
    expect(Math.abs(plain.sample[0] as number)).toBeGreaterThan(0.1);
  });

  test('of DPM-Solver++ reaches the image', async () => {
    const sampler = dpmSolverMultistep({ ...config, dynamic_thresholding_ratio: 1, timestep_spacing: 'trailing' });
    const { original, trajectory } = await firstStep(sampler, 2, tensor([[0, 0]], f64), tensor([[4, -2]], f64));
    expect(original).toEqual([-1, 0.5].map((value) => expect.closeTo(value, 12)));
    expect(trajectory.clipping).toContain('(thresholding)');
  });

  test('has a largest value', async () => {
    const sampler = ddpm({
      thresholding: true,
      sample_max_value: 2,
      dynamic_thresholding_ratio: 1,
      prediction_type: 'sample',
    });
    const { original } = await firstStep(sampler, 1, tensor([[0, 0]], f64), tensor([[8, -1]], f64));
    expect(original).toEqual([1, -0.5]);
  });
});

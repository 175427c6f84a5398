import {
  ddim,
  ddpm,
  dpmSolverMultistep,
  euler,
  eulerAncestral,
  flowMatchEuler,
  guide,
  noiseSchedule,
  pndm,
  type Sampler,
  samplers,
} from 'diffusion-dpo/diffusion';
import { openDevice, read, realize, setDefaultDevice, type Tensor, TensorError, tensor } from 'diffusion-dpo/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

/** Walks a trajectory with a stand-in for the network, and checks every state. Returns the time steps. */
async function walk(sampler: Sampler, steps: number, channels = 1): Promise<readonly number[]> {
  const trajectory = sampler(steps);
  const noise = (seed: number) => tensor([[[Math.sin(seed), Math.cos(3 * seed + 1)]]]);
  let state = trajectory.start(noise(1));
  for (const [index] of trajectory.timesteps.entries()) {
    const input = trajectory.modelInput(state);
    const output = input.mul(0.6).add(noise(index).mul(0.5));
    const given: Tensor =
      channels === 1
        ? output
        : tensor([
            [
              [0.1, -2],
              [-1, 0.3],
            ],
          ]).mul(output.mean());
    state = await realize(trajectory.step(state, given, noise(index + 7)));
    const values = Array.from(await read(state.sample));
    if (!values.every(Number.isFinite)) throw new Error(`step ${index} of ${steps} gives ${values}`);
  }
  return trajectory.timesteps;
}

const schedules = fc.constantFrom(
  { beta_schedule: 'linear' },
  { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 },
  { beta_schedule: 'squaredcos_cap_v2' },
  { beta_schedule: 'sigmoid' },
  { beta_schedule: 'linear', rescale_betas_zero_snr: true, prediction_type: 'v_prediction' },
  { beta_schedule: 'squaredcos_cap_v2', rescale_betas_zero_snr: true, prediction_type: 'sample' },
  { beta_start: 0, beta_end: 0.02 },
  { beta_start: 0.02, beta_end: 1 },
  { beta_start: 0.9, beta_end: 0.9 },
  { beta_start: 0, beta_end: 0 },
);
const configs = fc.record(
  {
    timestep_spacing: fc.constantFrom('leading', 'linspace', 'trailing'),
    prediction_type: fc.constantFrom('epsilon', 'v_prediction', 'sample'),
    steps_offset: fc.nat({ max: 3 }),
    clip_sample: fc.boolean(),
    thresholding: fc.boolean(),
    set_alpha_to_one: fc.boolean(),
    skip_prk_steps: fc.boolean(),
    final_sigmas_type: fc.constantFrom('zero', 'sigma_min'),
    use_karras_sigmas: fc.boolean(),
    use_exponential_sigmas: fc.boolean(),
    interpolation_type: fc.constantFrom('linear', 'log_linear'),
    algorithm_type: fc.constantFrom('dpmsolver++', 'sde-dpmsolver++', 'dpmsolver', 'sde-dpmsolver'),
    solver_order: fc.constantFrom(1, 2, 3),
    solver_type: fc.constantFrom('midpoint', 'heun'),
    lower_order_final: fc.boolean(),
    euler_at_final: fc.boolean(),
    lambda_min_clipped: fc.constantFrom(-5.1, -4, -1, 1, 9),
    variance_type: fc.constantFrom('fixed_small', 'fixed_large'),
    stochastic_sampling: fc.boolean(),
    shift: fc.constantFrom(0.3, 1, 12),
  },
  { requiredKeys: [] },
);

describe('a sampler gives finite images at time steps of the schedule, or says what is wrong:', () => {
  test.each(Object.keys(samplers))('%s', (className) => {
    const runs = fc.asyncProperty(
      configs,
      schedules,
      fc.constantFrom(1, 2, 3, 4, 5, 14, 15, 16, 29, 30),
      fc.constantFrom(0, 0.5, 1),
      async (config, schedule, steps, eta) => {
        let timesteps: readonly number[] = [];
        try {
          const sampler = samplers[className]?.(
            { ...config, num_train_timesteps: 30, ...schedule },
            { eta, churn: eta },
          );
          timesteps = await walk(sampler as Sampler, steps);
        } catch (error) {
          // What is refused is refused in words.
          if (!(error instanceof TensorError)) throw error;
          return;
        }
        const low = className.startsWith('FlowMatch') ? 1e-9 : 0;
        expect(timesteps.every((t) => t >= low && t <= 30 - (low === 0 ? 1 : 0))).toBe(true);
        expect(timesteps.length).toBeGreaterThan(0);
        const isDescending = timesteps.every((t, i) => i === 0 || t < (timesteps[i - 1] as number));
        // PNDM makes steps twice; σ spread in another way may lie closer than time steps do.
        const repeats = className === 'PNDMScheduler' || config.use_karras_sigmas || config.use_exponential_sigmas;
        expect(repeats || isDescending).toBe(true);
      },
    );
    return fc.assert(runs, { numRuns: 150, seed: 3 });
  });
});

describe('DPM-Solver takes no time step twice and none below 0:', () => {
  test.each([
    ['linear, λ from −4, trailing', { lambda_min_clipped: -4, timestep_spacing: 'trailing' }, 50],
    [
      'cosine, λ from −5.1, trailing',
      { beta_schedule: 'squaredcos_cap_v2', lambda_min_clipped: -5.1, timestep_spacing: 'trailing' },
      250,
    ],
    [
      'cosine, λ from −5.1, trailing',
      { beta_schedule: 'squaredcos_cap_v2', lambda_min_clipped: -5.1, timestep_spacing: 'trailing' },
      1000,
    ],
    ['linspace', { timestep_spacing: 'linspace' }, 1000],
    ['linspace, order 3', { timestep_spacing: 'linspace', solver_order: 3 }, 999],
    ['linspace, cosine, λ from −5.1', { beta_schedule: 'squaredcos_cap_v2', lambda_min_clipped: -5.1 }, 1000],
  ])('%s, %o, %i steps', async (_, config, steps) => {
    const timesteps = await walk(dpmSolverMultistep(config), steps);
    expect(timesteps.at(-1)).toBeGreaterThanOrEqual(0);
    expect(timesteps.every((t, i) => i === 0 || t < (timesteps[i - 1] as number))).toBe(true);
  });

  test('with fewer steps, as diffusers has them', () => {
    // λ of β from 1e-4 to 0.02 is above −4 up to time step 900: so arange(901, 0, −20) rounded, less 1.
    const { alphasCumprod } = noiseSchedule();
    const left = alphasCumprod.findLastIndex((bar) => 0.5 * Math.log(bar / (1 - bar)) >= -4) + 1;
    const { timesteps } = dpmSolverMultistep({ lambda_min_clipped: -4, timestep_spacing: 'trailing' })(50);
    expect(timesteps).toEqual(Array.from({ length: Math.ceil(left / 20) }, (_, i) => left - 20 * i - 1));
    expect(timesteps.length).toBeLessThan(50);
    // Of 1,000 steps evenly from 999 down to 0, which is left out, no rounded one is 500 twice.
    const all = dpmSolverMultistep()(1000).timesteps;
    expect([all.length, all[0], all.at(-1)]).toEqual([999, 999, 1]);
  });

  test('or with an error that says which numbers work', () => {
    expect(() => dpmSolverMultistep({ timestep_spacing: 'leading' })(1000)).toThrow(
      'dpmSolverMultistep: 1000 leading steps with steps_offset 0 do not fit the 1000 time steps; 999 steps fit',
    );
    expect(dpmSolverMultistep({ timestep_spacing: 'leading' })(999).timesteps).toHaveLength(999);
    const clipped = { timestep_spacing: 'leading', lambda_min_clipped: -4 };
    expect(() => dpmSolverMultistep(clipped)(999)).toThrow('time steps that lambda_min_clipped leaves');
    expect(() => dpmSolverMultistep({ lambda_min_clipped: 20 })).toThrow(
      'leaves no time step: λ goes from 4.61 down to',
    );
  });
});

describe('what a sampler cannot compute is refused by name:', () => {
  test('time steps beyond the last, with the next number of steps that fits', () => {
    const config = { steps_offset: 1 };
    for (const sampler of [ddim, ddpm, pndm])
      expect(() => sampler(config)(1000)).toThrow(
        'with steps_offset 1, 1000 steps begin at time step 1000, and the last is 999; 999 steps fit',
      );
    expect(ddim(config)(999).timesteps[0]).toBe(999);
    for (const sampler of [euler, eulerAncestral])
      expect(() => sampler({ ...config, timestep_spacing: 'leading' })(1000)).toThrow('999 steps fit');
    expect(() => ddim({ steps_offset: 1000 })(10)).toThrow('no number of steps fits');
  });

  test('schedules without noise, and with more than f32 holds', () => {
    const silent = { num_train_timesteps: 3, trained_betas: [0, 0, 0.5], clip_sample: false };
    for (const sampler of [ddim, ddpm, pndm, euler, eulerAncestral, dpmSolverMultistep])
      expect(() => sampler({ ...silent, timestep_spacing: 'trailing', skip_prk_steps: true })(3)).toThrow(
        'at time step 1 the schedule has no noise',
      );
    const loud = { beta_start: 0.5, beta_end: 0.5, timestep_spacing: 'trailing', skip_prk_steps: true };
    for (const sampler of [ddim, ddpm, pndm, euler, eulerAncestral, dpmSolverMultistep])
      expect(() => sampler(loud)(10)).toThrow("at time step 999 the schedule's noise is 3.27e+150 times the image");
    expect(() => pndm({ trained_betas: [0.1, 1], num_train_timesteps: 2, skip_prk_steps: true })(2)).toThrow(
      'pndm: at time step 1 nothing is left of the image',
    );
  });

  test('bounds of σ, and two ways of spreading it at once', () => {
    for (const sampler of [euler, dpmSolverMultistep]) {
      expect(() => sampler({ use_exponential_sigmas: true, sigma_min: 0 })(4)).toThrow(
        'σ must go from sigma_min above 0 to a sigma_max that is not smaller, but they are 0 and 157',
      );
      expect(() => sampler({ use_karras_sigmas: true, sigma_min: 3, sigma_max: 2 })(4)).toThrow('they are 3 and 2');
      expect(() => sampler({ use_karras_sigmas: true, use_exponential_sigmas: true })).toThrow('only one of');
    }
  });

  test('numbers of steps and amounts of noise', () => {
    expect(() => pndm()(3)).toThrow('pndm: the Runge–Kutta steps need 4 steps at least, got 3; or set skip_prk_steps');
    expect(() => ddim({}, { eta: 1.5 })).toThrow('ddim: eta must be a number from 0 to 1, got 1.5');
    expect(() => euler({}, { churn: -1 })).toThrow('euler: churn must be a number of at least 0, got -1');
    expect(() => ddim({ dynamic_thresholding_ratio: 1.5 })).toThrow('must be a number from 0 to 1, got 1.5');
    expect(() => flowMatchEuler({ shift: 0 })).toThrow('shift must be a positive number, got 0');
  });
});

test('a learned variance may be below 0, or say nothing where the variance is', async () => {
  const learned = { num_train_timesteps: 4, clip_sample: true };
  await walk(ddpm({ ...learned, variance_type: 'learned' }), 4, 2);
  await walk(ddpm({ ...learned, variance_type: 'learned_range', trained_betas: [0.1, 0.1, 0, 0.1] }), 4, 2);
});

test('all signal may be gone for more than one time step', async () => {
  const config = { num_train_timesteps: 4, trained_betas: [0.1, 1, 0, 0.5], prediction_type: 'v_prediction' };
  for (const sampler of [ddpm(config), ddim(config), ddim(config, { eta: 1 })]) await walk(sampler, 4);
  // The last step of a schedule without signal at the end, all ways of which add up to 1 − ᾱ.
  const zero = { rescale_betas_zero_snr: true, prediction_type: 'v_prediction', timestep_spacing: 'trailing' };
  for (const steps of [1, 2, 3, 7, 10]) await walk(ddim(zero, { eta: 1 }), steps);
});

test('guidance brings a share of the result back to the spread of the conditional prediction', async () => {
  // Guided by 2: 2, 2 and 9, whose squared distances from the mean sum to 98/3, those of 1, 2 and 6 to 14.
  const [conditional, other] = [tensor([[1, 2, 6]]), tensor([[0, 2, 3]])];
  const guided = Array.from(await read(guide(conditional, other, { scale: 2, rescale: 0.25 })));
  const factor = 0.75 + 0.25 * Math.sqrt(14 / (98 / 3));
  expect(guided).toEqual([2, 2, 9].map((value) => expect.closeTo(value * factor, 5)));
});

test('guidance leaves alone what has no spread', async () => {
  const [flat, other] = [tensor([[2, 2]]), tensor([[1, 1]])];
  expect(Array.from(await read(guide(flat, other, { scale: 3, rescale: 0.5 })))).toEqual([4, 4]);
});

import { readFileSync } from 'node:fs';
import {
  configNotes,
  dpmSolverMultistep,
  euler,
  noisingFromConfig,
  samplerFromConfig,
  samplers,
} from 'diffusion-dpo/diffusion';
import { openDevice, read, setDefaultDevice, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

/** What each of diffusers' 49 schedulers writes into its file, as a scheduler of another class keeps it. */
const files: Readonly<Record<string, Readonly<Record<string, unknown>>>> = JSON.parse(
  readFileSync(new URL('schedulers.json', import.meta.url), 'utf8'),
);

/** Fields of the sampler's own whose value is not supported, by the class that the file comes from. */
const refused: Readonly<Record<string, readonly string[]>> = {
  SCMScheduler: ['prediction_type'],
  HeliosScheduler: ['prediction_type', 'use_flow_sigmas'],
  HeliosDMDScheduler: ['prediction_type', 'use_flow_sigmas'],
  SASolverScheduler: ['algorithm_type'],
};
const ownOf = (className: string): readonly string[] => {
  if (className.startsWith('FlowMatch')) return [];
  return className.startsWith('DPM') ? ['prediction_type', 'use_flow_sigmas', 'algorithm_type'] : ['prediction_type'];
};

describe.each(Object.keys(samplers))("%s takes the file of any of diffusers' schedulers", (className) => {
  test.each(Object.entries(files))('%s', (origin, config) => {
    const file = { ...config, _class_name: className };
    const problems = (refused[origin] ?? []).filter((name) => ownOf(className).includes(name));
    if (problems.length > 0) {
      for (const name of problems) expect(() => samplerFromConfig(file)).toThrow(`\n  ${name}: `);
      return;
    }
    expect(samplerFromConfig(file)(10).timesteps.length).toBeGreaterThan(0);
    expect(noisingFromConfig(file).schedule.numTrainTimesteps).toBe(config.num_train_timesteps ?? 1000);
    // What is passed over is said.
    const said = configNotes(file).join('\n');
    for (const other of ['sigma_data', 'snr_shift_scale', 'num_vec_classes'])
      expect(said.includes(other)).toBe(other in config);
  });
});

describe('a field that changes the result is refused unless it is neutral:', () => {
  test.each([
    ['EulerDiscreteScheduler', 'use_beta_sigmas', true, false],
    ['EulerDiscreteScheduler', 'timestep_type', 'continuous', 'discrete'],
    ['DPMSolverMultistepScheduler', 'use_beta_sigmas', true, false],
    ['DPMSolverMultistepScheduler', 'use_flow_sigmas', true, false],
    ['DPMSolverMultistepScheduler', 'use_dynamic_shifting', true, false],
    ['DPMSolverMultistepScheduler', 'solver_type', 'rk4', 'bh1'],
    ['DPMSolverMultistepScheduler', 'variance_type', 'other', 'fixed_large'],
    ['DDPMScheduler', 'variance_type', 'fixed_large_log', null],
    ['DDPMScheduler', 'beta_schedule', 'laplace', 'linear'],
    ['PNDMScheduler', 'rescale_betas_zero_snr', true, false],
    ['PNDMScheduler', 'predict_epsilon', false, true],
    ['FlowMatchEulerDiscreteScheduler', 'use_dynamic_shifting', true, false],
    ['FlowMatchEulerDiscreteScheduler', 'shift_terminal', 0.1, null],
    ['FlowMatchEulerDiscreteScheduler', 'invert_sigmas', true, false],
    ['FlowMatchEulerDiscreteScheduler', 'use_karras_sigmas', true, false],
  ])('%s, %s', (className, name, value, neutral) => {
    const file = { _class_name: className, [name]: value };
    expect(() => samplerFromConfig(file)).toThrow(name === 'predict_epsilon' ? 'prediction_type: ' : `${name}: `);
    expect(() => samplerFromConfig({ ...file, [name]: neutral })).not.toThrow();
  });

  test('and one that no scheduler has is refused always', () => {
    for (const className of Object.keys(samplers))
      expect(() => samplerFromConfig({ _class_name: className, beta_begin: 0 })).toThrow('beta_begin: is not known');
  });
});

describe('files of 2022', () => {
  test('may name the framework of their tensors, and say whether noise is predicted', async () => {
    const file = { _class_name: 'DDIMScheduler', tensor_format: 'pt', timestep_values: null, clip_sample: false };
    expect(noisingFromConfig({ ...file, predict_epsilon: true }).prediction).toBe('epsilon');
    expect(noisingFromConfig({ ...file, predict_epsilon: false }).prediction).toBe('sample');
    const trajectory = samplerFromConfig({ ...file, predict_epsilon: false })(2);
    const x = tensor([[3, -2]]);
    const { original } = trajectory.step(trajectory.start(x), x);
    expect(Array.from(await read(original ?? x))).toEqual([3, -2]);
    const both = { ...file, predict_epsilon: false, prediction_type: 'epsilon' };
    expect(() => samplerFromConfig(both)).toThrow(
      'predict_epsilon is false, which stands for prediction_type "sample", but prediction_type is "epsilon"',
    );
    expect(() => noisingFromConfig(both)).toThrow('predict_epsilon is false');
  });
});

test('a configuration says what networks predict', () => {
  const predicted = (className: string, config: object = {}) =>
    noisingFromConfig({ _class_name: className, ...config }).prediction;
  expect(predicted('DDIMScheduler')).toBe('epsilon');
  expect(predicted('EulerDiscreteScheduler', { prediction_type: 'v_prediction' })).toBe('v_prediction');
  expect(predicted('HeunDiscreteScheduler', { prediction_type: 'sample' })).toBe('sample');
  expect(predicted('FlowMatchEulerDiscreteScheduler')).toBe('flow_prediction');
});

test('names of other solvers mean what diffusers takes them for', () => {
  const config = { ...files.DEISMultistepScheduler, _class_name: 'DPMSolverMultistepScheduler' };
  const noise = tensor([[1, 2]]);
  const [first, second] = [dpmSolverMultistep(config)(5), dpmSolverMultistep()(5)].map((trajectory) =>
    trajectory.step(trajectory.step(trajectory.start(noise), noise), noise.mul(0.5)),
  );
  return Promise.all([read(first?.sample ?? noise), read(second?.sample ?? noise)]).then(([a, b]) =>
    expect(a).toEqual(b),
  );
});

test("σ's bounds count for DPM-Solver too, where it spreads σ in a way of its own", () => {
  const config = { sigma_min: 0.1, sigma_max: 10, use_karras_sigmas: true };
  for (const sampler of [euler, dpmSolverMultistep]) {
    const sigmas = sampler(config)(4).sigmas ?? [];
    expect([sigmas[0], sigmas[3]]).toEqual([expect.closeTo(10, 10), expect.closeTo(0.1, 10)]);
  }
});

test('σ lies evenly in σ^(1/7) (Karras), or in its logarithm', () => {
  const bounds = { sigma_min: 0.1, sigma_max: 10 };
  const karras = ((10 ** (1 / 7) + 0.1 ** (1 / 7)) / 2) ** 7;
  for (const sampler of [euler, dpmSolverMultistep]) {
    const middle = (config: object) => sampler({ ...bounds, ...config })(3).sigmas?.[1];
    expect(middle({ use_karras_sigmas: true })).toBeCloseTo(karras, 12);
    expect(middle({ use_exponential_sigmas: true })).toBeCloseTo(1, 12);
  }
  expect(dpmSolverMultistep({ ...bounds, use_lu_lambdas: true })(3).sigmas?.[1]).toBeCloseTo(1, 12);
});

describe('notes on a configuration', () => {
  test('say which fields have no effect, and that sampling clips', () => {
    expect(configNotes({ _class_name: 'DDIMScheduler', skip_prk_steps: true, clip_sample_range: 2, _note: 1 })).toEqual(
      ['clips predicted images to [−2, 2] (clip_sample)', 'fields without effect here: skip_prk_steps'],
    );
    expect(configNotes({ _class_name: 'DPMSolverMultistepScheduler', clip_sample: true })).toEqual([
      'fields without effect here: clip_sample',
    ]);
    expect(configNotes({ _class_name: 'DPMSolverMultistepScheduler', thresholding: true })).toEqual([
      'divides predicted images by the quantile 0.995 of their absolute values, from 1 to 1 (thresholding)',
    ]);
    expect(configNotes({ _class_name: 'DDIMScheduler', clip_sample: false })).toEqual([]);
    expect(configNotes({ _class_name: 'HeunDiscreteScheduler', clip_sample: true })).toEqual([]);
    expect(() => configNotes({ _class_name: 'DDIMScheduler', beta_begin: 0 })).toThrow('beta_begin');
  });

  test('are the same of models', () => {
    const ema = { decay: 0.9999, inv_gamma: 1, optimization_step: 5, power: 0.75, use_ema_warmup: false };
    expect(configNotes({ _class_name: 'UNet2DConditionModel', sample_size: 8, ...ema })).toEqual([
      'fields without effect here: decay, inv_gamma, optimization_step, power, use_ema_warmup',
    ]);
    expect(configNotes({ _class_name: 'UNet2DModel', cross_attention_dim: 8, in_channels: 3 })).toEqual([
      'fields without effect here: cross_attention_dim',
    ]);
    expect(configNotes({ architectures: ['CLIPTextModel'], dtype: 'float32', hidden_size: 8 })).toEqual([
      'fields without effect here: dtype',
    ]);
  });
});

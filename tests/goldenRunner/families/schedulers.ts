import {
  addNoise,
  type NoiseSchedule,
  noisingFromConfig,
  type SamplerState,
  samplers,
  type Trajectory,
  velocity,
} from '../../../diffusion/index.ts';
import { dispose, read, realize, stack, type Tensor, tensor } from '../../../tensor/index.ts';
import { ofCase, readArchive } from '../archive.ts';
import { boundOf, bounds } from '../bounds.ts';
import { describeComparison } from '../compare.ts';
import { isObject, type JsonObject, Params } from '../params.ts';
import { type BoundOptions, compareResults, inDtype } from '../results.ts';
import {
  type CaseReport,
  type Family,
  type GoldenFile,
  type LeftOut,
  messageOf,
  type Settings,
  type UnitReport,
} from './family.ts';

/** Samplers: tables, forward noising, and whole trajectories with a stand-in for the network. */
export const schedulers: Family = {
  name: 'schedulers',
  claim: (files) =>
    files.filter(describesSchedulers).flatMap((file) => {
      const tensors = file.path.replace(/\.json$/, '.safetensors');
      if (!files.some(({ path }) => path === tensors)) return [];
      return [{ files: [file.path, tensors], check: (settings) => checkFile(file, tensors, settings) }];
    }),
};

const casesOf = ({ json }: GoldenFile): readonly JsonObject[] =>
  isObject(json) && Array.isArray(json.cases) ? json.cases.filter(isObject) : [];

const describesSchedulers = (file: GoldenFile): boolean =>
  casesOf(file).some((spec) => String(spec.class).endsWith('Scheduler'));

const given = ['x_init', 'E', 'variance_noise', 'add_noise.x0', 'add_noise.noise', 'add_noise.timesteps'];

type Tensors = ReadonlyMap<string, Tensor>;

async function checkFile(file: GoldenFile, path: string, settings: Settings): Promise<UnitReport> {
  const stored = await readArchive(path);
  const cases: CaseReport[] = [];
  const leftOut: LeftOut[] = [];
  const version = isObject(file.json) && isObject(file.json.versions) ? file.json.versions.diffusers : undefined;
  let expectedTensors = 0;
  const names = casesOf(file).map((spec) => String(spec.name));
  for (const spec of casesOf(file)) {
    const name = String(spec.name);
    const tensors = ofCase(stored, name, names);
    expectedTensors += [...tensors.keys()].filter((key) => !given.includes(key)).length;
    const report = await checkCase(spec, version, tensors, settings).catch((error: unknown) => ({
      problems: [messageOf(error)],
      comparisons: [],
      absent: [],
    }));
    cases.push({ file: file.path, name, problems: report.problems, comparisons: report.comparisons });
    const reason = 'the data has not all tensors that it needs';
    leftOut.push(...report.absent.map((one) => ({ file: file.path, name: `${name} ${one}`, reason, tensors: 0 })));
  }
  dispose([...stored.values()]);
  return { expectedTensors, cases, leftOut };
}

/** Whether this version of diffusers has DDPM step down by ⌊T/steps⌋ instead of to the next time step. */
function stepsByStride(version: unknown): boolean {
  const [major = 0, minor = 0] = String(version ?? '')
    .split('.')
    .map(Number);
  return major === 0 && minor > 0 && minor <= 27;
}

/** The library has time steps that are not whole in float32, with logarithms behind them. */
const timestepBound = 1e-3;

async function checkCase(
  spec: JsonObject,
  version: unknown,
  tensors: Tensors,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'> & { readonly absent: readonly string[] }> {
  const expected = new Map([...tensors].filter(([name]) => !given.includes(name)));
  const args = new Params(isObject(spec.step_arguments) ? spec.step_arguments : {});
  const sampler = Object.hasOwn(samplers, String(spec.class)) ? samplers[String(spec.class)] : undefined;
  if (sampler === undefined) throw new Error(`the class ${JSON.stringify(spec.class)} is not known`);
  const options = {
    eta: args.number('eta', 0),
    useClippedModelOutput: args.boolean('use_clipped_model_output', false),
    churn: args.number('s_churn', 0),
    churnRange: [args.number('s_tmin', 0), args.number('s_tmax', Number.POSITIVE_INFINITY)] as const,
    churnNoise: args.number('s_noise', 1),
    stepTo: stepsByStride(version) ? ('stride' as const) : ('next' as const),
  };
  const trajectory = sampler(spec.config, options)(Number(spec.num_inference_steps));
  const { schedule } = noisingFromConfig(spec.config);

  const errors = isObject(spec.torch_float32_error) ? spec.torch_float32_error : {};
  const boundFor = (name: string): number | BoundOptions => {
    if (name === 'timesteps') return { bound: timestepBound, absolute: true };
    const entry = errors[name];
    // The library computes in float32, tables included: so float32's bounds hold for both.
    return boundOf('f32', bounds.schedulers.value, isObject(entry) ? Number(entry.rel_l2) : 0);
  };
  const results = new Map<string, Tensor>([...tables(trajectory, schedule, tensors, settings)]);
  const has = (...names: string[]): boolean => names.every((name) => tensors.has(name));
  const [isFree, isSingle] = [has('x_init', 'E'), has('x_init', 'samples', 'model_outputs')];
  const free = isFree ? await run(trajectory, tensors, spec, settings, false) : new Map<string, Tensor>();
  const noised = await noising(trajectory, schedule, tensors, settings);
  for (const [name, x] of free) if (expected.has(name)) results.set(name, x);
  for (const [name, x] of noised) if (expected.has(name)) results.set(name, x);

  // One step at a time, each from what is stored.
  const single = new Map(
    isSingle ? [...(await run(trajectory, tensors, spec, settings, true))].filter(([name]) => expected.has(name)) : [],
  );
  const steps = await compareResults(single, expected, boundFor, settings);
  return {
    problems: [
      ...args.unread().map((name) => `the argument '${name}' of steps is not understood`),
      ...steps.filter(({ passed }) => !passed).map((step) => `single steps: ${describeComparison(step)}`),
      ...[...expected.keys()]
        .filter((name) => !results.has(name) && !single.has(name))
        .map((name) => `nothing was computed for '${name}'`),
    ],
    // Without a free run, single steps are what there is.
    comparisons: [...(await compareResults(results, expected, boundFor, settings)), ...(isFree ? [] : steps)],
    absent: [...(isFree ? [] : ['free run']), ...(isSingle ? [] : ['single steps'])],
  };
}

const need = (tensors: Tensors, name: string, settings: Settings): Tensor => {
  const found = tensors.get(name);
  if (found === undefined) throw new Error(`there is no tensor '${name}'`);
  return inDtype(found, settings);
};

function* tables(
  trajectory: Trajectory,
  { betas, alphasCumprod }: NoiseSchedule,
  tensors: Tensors,
  { dtype }: Settings,
): Generator<[string, Tensor]> {
  const table = (values: ArrayLike<number>) => tensor(Array.from(values), { dtype });
  yield ['alphas_cumprod', table(alphasCumprod)];
  yield ['betas', table(betas)];
  const isWhole = tensors.get('timesteps')?.dtype === 'i32';
  yield ['timesteps', isWhole ? tensor([...trajectory.timesteps], { dtype: 'i32' }) : table(trajectory.timesteps)];
  yield ['init_noise_sigma', tensor(trajectory.initNoiseSigma, { dtype })];
  if (trajectory.sigmas !== undefined) yield ['sigmas', table(trajectory.sigmas)];
}

/** Noising by the table of all time steps and, for samplers that change it, at the steps of the trajectory. */
async function noising(
  trajectory: Trajectory,
  schedule: NoiseSchedule,
  tensors: Tensors,
  settings: Settings,
): Promise<Map<string, Tensor>> {
  const stored = tensors.get('add_noise.timesteps');
  if (stored === undefined) return new Map();
  const timesteps = Array.from(await read(stored));
  const [x0, noise] = [need(tensors, 'add_noise.x0', settings), need(tensors, 'add_noise.noise', settings)];
  if (trajectory.sigmas === undefined) {
    return new Map([
      ['add_noise.out', addNoise(schedule, x0, noise, timesteps)],
      ['get_velocity.out', velocity(schedule, x0, noise, timesteps)],
    ]);
  }
  const scales = timesteps.map((t) => {
    const distances = trajectory.timesteps.map((one) => Math.abs(one - t));
    const nearest = distances.indexOf(Math.min(...distances));
    if (!((distances[nearest] ?? Number.NaN) <= timestepBound)) throw new Error(`${t} is no time step`);
    return trajectory.noiseScalesAt(nearest);
  });
  const factor = (name: 'signal' | 'noise') =>
    tensor(
      scales.map((scales) => scales[name]),
      { dtype: settings.dtype },
    ).reshape([timesteps.length, ...x0.shape.slice(1).map(() => 1)]);
  return new Map([['add_noise.out', x0.mul(factor('signal')).add(noise.mul(factor('noise')))]]);
}

/** The whole way from the first noise, or with every step begun where the stored run was. */
async function run(
  trajectory: Trajectory,
  tensors: Tensors,
  spec: JsonObject,
  settings: Settings,
  fromStored: boolean,
): Promise<Map<string, Tensor>> {
  const row = (name: string, i: number) => {
    const all = need(tensors, name, settings);
    return all.sliceAxis(0, i, i + 1).reshape(all.shape.slice(1));
  };
  const drawn = Array.isArray(spec.noise_at_step) ? spec.noise_at_step.map(Number) : [];
  const lists = {
    samples: [] as Tensor[],
    model_inputs: [] as Tensor[],
    model_outputs: [] as Tensor[],
    pred_original_samples: [] as Tensor[],
  };
  let state: SamplerState = trajectory.start(need(tensors, 'x_init', settings));
  lists.samples.push(state.sample);
  for (let i = 0; i < trajectory.timesteps.length; i++) {
    if (fromStored) state = { ...state, sample: row('samples', i) };
    const input = trajectory.modelInput(state);
    // The stand-in for the network.
    const output = fromStored ? row('model_outputs', i) : input.mul(0.6).add(row('E', i).mul(0.5));
    const noise = drawn.includes(i) ? row('variance_noise', drawn.indexOf(i)) : undefined;
    state = await realize(trajectory.step(state, output, noise), { device: settings.device });
    lists.samples.push(state.sample);
    lists.model_inputs.push(input);
    lists.model_outputs.push(output);
    if (state.original !== undefined) lists.pred_original_samples.push(state.original);
  }
  return new Map(Object.entries(lists).flatMap(([name, all]) => (all.length === 0 ? [] : [[name, stack(all, 0)]])));
}

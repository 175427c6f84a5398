import { dirname, join } from 'node:path';
import { valueAndGrad } from '../../../autograd/index.ts';
import { unet2dConditionModel, unet2dModel } from '../../../diffusion/index.ts';
import { timestepEmbedding, watch } from '../../../nn/index.ts';
import { dispose, flattenTree, key, mapTree, read, realize, Tensor } from '../../../tensor/index.ts';
import { absentFiles, ofCase, readArchive, readOptionalArchive, withPrefix } from '../archive.ts';
import { boundOf, bounds } from '../bounds.ts';
import { fillParameters } from '../parameters.ts';
import { isObject, type JsonObject } from '../params.ts';
import { compareResults, inDtype, normOf } from '../results.ts';
import {
  type CaseReport,
  type Family,
  filesNamed,
  type GoldenFile,
  type LeftOut,
  messageOf,
  type Settings,
  type UnitReport,
} from './family.ts';

/** UNets: checkpoint folders with inputs, outputs, activations inside and gradients beside the weights. */
export const unets: Family = {
  name: 'unets',
  claim: (files) =>
    files.filter(isUNetConfig).flatMap((config) => {
      const folder = dirname(config.path);
      const io = files.find(({ path }) => path === join(folder, 'io.json'));
      const own = filesNamed(files, folder, [...required, ...optional]);
      if (io === undefined) return [];
      return [{ files: own, check: (settings) => checkFolder(folder, config.json as JsonObject, io, settings) }];
    }),
};

const required = ['config.json', 'diffusion_pytorch_model.safetensors', 'io.json', 'io.safetensors'];
const optional = ['grads.safetensors', 'intermediates.safetensors'];

const isUNetConfig = ({ path, json }: GoldenFile): boolean =>
  path.endsWith('config.json') && isObject(json) && /^UNet2D(Condition)?Model$/.test(String(json._class_name));

type Tensors = ReadonlyMap<string, Tensor>;

async function checkFolder(
  folder: string,
  config: JsonObject,
  io: GoldenFile,
  settings: Settings,
): Promise<UnitReport> {
  const archive = (name: string): Promise<Tensors> => readArchive(join(folder, `${name}.safetensors`));
  const weights = await archive('diffusion_pytorch_model');
  const tensors = await archive('io');
  const found = await Promise.all(optional.map((name) => readOptionalArchive(join(folder, name))));
  const [gradients, inner] = found.map((all): Tensors => all ?? new Map()) as [Tensors, Tensors];
  const isGiven = (name: string): boolean => /\.(?:in\.[^.]+|target)$/.test(name);
  const expectedTensors = [...tensors.keys()].filter((name) => !isGiven(name)).length + gradients.size + inner.size;
  const cases: CaseReport[] = [];
  const leftOut: LeftOut[] = [];
  const specs = isObject(io.json) && Array.isArray(io.json.cases) ? (io.json.cases as readonly JsonObject[]) : [];
  const names = specs.map((spec) => String(spec.name));
  const withGradients = Math.max(
    0,
    specs.findIndex(({ full_param_grads_in: file }) => typeof file === 'string'),
  );
  for (const [i, spec] of specs.entries()) {
    const name = String(spec.name);
    const own = ofCase(tensors, name, names);
    const stored = new Map([...own].filter(([key]) => !isGiven(`.${key}`)));
    if (i === withGradients) for (const [key, x] of gradients) stored.set(`grad.${key}`, x);
    // Everything inside is stored for the first case only.
    if (i === 0) for (const [key, x] of inner) stored.set(`inner.${key}`, x);
    const report = await checkCase(config, spec, weights, own, stored, settings).catch((error: unknown) => ({
      problems: [messageOf(error)],
      comparisons: [],
      absent: [],
    }));
    cases.push({ file: io.path, name, problems: report.problems, comparisons: report.comparisons });
    const reason = 'the data has nothing to compare it with';
    leftOut.push(...report.absent.map((one) => ({ file: io.path, name: `${name} ${one}`, reason, tensors: 0 })));
  }
  dispose([weights, tensors, gradients, inner].flatMap((all) => [...all.values()]));
  const files = Object.fromEntries(optional.map((name, i) => [name, found[i]]));
  return { expectedTensors, cases, leftOut: [...leftOut, ...absentFiles(folder, files)] };
}

const inputNames = ['sample', 'timestep', 'encoder_hidden_states', 'text_embeds', 'time_ids'];

async function checkCase(
  config: JsonObject,
  spec: JsonObject,
  weights: Tensors,
  given: Tensors,
  stored: Tensors,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'> & { readonly absent: readonly string[] }> {
  const model = config._class_name === 'UNet2DModel' ? unet2dModel(config) : unet2dConditionModel(config);
  const params = mapTree(fillParameters(model.init(key(0)), weights), (x) => inDtype(x, settings));
  const unknown = [...withPrefix(given, 'in.').keys()].filter((name) => !inputNames.includes(name));
  if (unknown.length > 0) throw new Error(`the inputs ${unknown.join(', ')} are not understood`);
  const inputs = Object.fromEntries(
    [...withPrefix(given, 'in.')]
      .filter(([name]) => name !== 'timestep')
      .map(([name, x]) => [name, inDtype(x, settings)]),
  );
  const stepTensor = given.get('in.timestep');
  if (stepTensor === undefined || inputs.sample === undefined) throw new Error('there is no sample or no time step');
  const timesteps = Array.from(await read(stepTensor));
  const storedTarget = given.get('target');
  const target = storedTarget && inDtype(storedTarget, settings);
  const names = [...withPrefix(stored, 'inner.').keys()];

  const loss = (primals: { readonly params: typeof params; readonly inputs: typeof inputs }) => {
    const { sample, encoder_hidden_states: context, text_embeds: textEmbeds, time_ids: timeIds } = primals.inputs;
    const inner = new Map<string, Tensor>();
    const stops = names.flatMap((name) => watchLayer(primals.params, name, (x) => inner.set(name, x)));
    const out = model.apply(
      primals.params,
      sample as Tensor,
      timesteps.length === 1 ? Number(timesteps[0]) : timesteps,
      {
        context,
        added: textEmbeds && timeIds && { textEmbeds, timeIds },
      },
    );
    for (const stop of stops) stop();
    // Without a target there are no gradients that could be compared, and the loss stands for nothing.
    return [(target === undefined ? out : out.sub(target)).square().mean(), { out, inner }] as const;
  };
  const [[value, { out, inner }], gradients] = valueAndGrad(loss, { hasAux: true })({ params, inputs });
  for (const [name, x] of await embeddings(config, stored, timesteps, given.get('in.time_ids'), settings))
    inner.set(name, x);

  const results = new Map([['out', out]]);
  if (target !== undefined) results.set('loss', value);
  if (target !== undefined)
    for (const [name, x] of Object.entries(gradients.inputs))
      if (name !== 'time_ids') results.set(`grad_in.${name}`, x);
  const ofParams = flattenTree(gradients.params);
  if (target !== undefined)
    for (const { path, tensor } of ofParams) if (stored.has(`grad.${path}`)) results.set(`grad.${path}`, tensor);
  for (const [name, x] of inner) results.set(`inner.${name}`, x);

  const norms = isObject(spec.param_grad_norms)
    ? (spec.param_grad_norms as Readonly<Record<string, number>>)
    : undefined;
  // The norm of all gradients together, for those which are nothing beside it: of all that are stored, at least.
  const total =
    norms === undefined ? await normOf(withPrefix(stored, 'grad.').values()) : Math.hypot(...Object.values(norms));
  const errors = isObject(spec.torch_float32_error) ? spec.torch_float32_error : {};
  const error = (name: string): number => {
    const entry = errors[name];
    return isObject(entry) && typeof entry.rel_l2 === 'number' ? entry.rel_l2 : typeof entry === 'number' ? entry : 0;
  };
  // The sinusoidal embedding was computed in float32, even in the float64 model: so float32's bounds hold for both.
  const boundFor = (name: string) => {
    if (name.startsWith('grad.')) {
      const bound = boundOf('f32', bounds.unet.gradient, error('param_grads_worst_rel_l2'));
      return { bound, total };
    }
    const row = name.startsWith('grad_in.') ? bounds.unet.gradient : bounds.unet.output;
    return boundOf('f32', row, error(name));
  };
  // Before the comparison, which lets go of what was computed.
  const wrongNorms = norms && target ? await normProblems(ofParams, norms, total, settings) : [];
  const absent = [
    ...[...results.keys()].filter((name) => !stored.has(name)),
    ...(norms === undefined ? ['param_grad_norms'] : []),
    ...(target === undefined ? ['target'] : []),
  ];
  return {
    problems: [
      ...[...stored.keys()].filter((name) => !results.has(name)).map((name) => `nothing was computed for '${name}'`),
      ...wrongNorms,
    ],
    comparisons: await compareResults(results, stored, boundFor, settings),
    absent,
  };
}

/** Sees what the layer at a path gives; of a block on the way down, the image that leaves it. */
export function watchLayer(params: unknown, path: string, see: (output: Tensor) => void): (() => void)[] {
  const own = path
    .split('.')
    .reduce<unknown>((tree, name) => (tree as Record<string, unknown> | undefined)?.[name], params);
  if (typeof own !== 'object' || own === null) return [];
  return [watch(own, (output) => see(output instanceof Tensor ? output : (output as { readonly h: Tensor }).h))];
}

/** The sinusoidal embeddings, which are no layers here. */
async function embeddings(
  config: JsonObject,
  stored: Tensors,
  timesteps: readonly number[],
  timeIds: Tensor | undefined,
  { dtype }: Settings,
): Promise<Map<string, Tensor>> {
  const options = {
    flipSinToCos: (config.flip_sin_to_cos ?? true) as boolean,
    downscaleFreqShift: (config.freq_shift ?? 0) as number,
    dtype,
  };
  const found = new Map<string, Tensor>();
  const width = (name: string): number => stored.get(`inner.${name}`)?.shape.at(-1) ?? 0;
  if (width('time_proj') > 0) found.set('time_proj', timestepEmbedding(timesteps, width('time_proj'), options));
  if (width('add_time_proj') > 0 && timeIds !== undefined) {
    const numbers = Array.from(await read(timeIds));
    found.set('add_time_proj', timestepEmbedding(numbers, width('add_time_proj'), options));
  }
  return found;
}

/** The norms of all parameters' gradients are there for every case; and that of all of them together is bounded closer. */
export async function normProblems(
  gradients: readonly { readonly path: string; readonly tensor: Tensor }[],
  norms: Readonly<Record<string, number>>,
  total: number,
  { device }: Settings,
  row: { readonly gradient: number; readonly allGradients: number } = bounds.unet,
): Promise<string[]> {
  const computed = await realize(
    gradients.map(({ tensor }) => tensor.square().sum().sqrt()),
    { device },
  );
  const values = await Promise.all(computed.map(async (x) => Number((await read(x))[0])));
  dispose(computed);
  const unknown = Object.keys(norms).filter((name) => !gradients.some(({ path }) => path === name));
  return [
    ...unknown.map((name) => `there is no parameter '${name}'`),
    ...gradients.flatMap(({ path }, i) => {
      const [norm, expected] = [values[i] as number, norms[path] ?? Number.NaN];
      const isNothing = expected < 1e-6 * total;
      const bound = isNothing ? 10 * 2 ** -24 * total : row.gradient * expected;
      return Math.abs(norm - expected) <= bound ? [] : [`the gradient of '${path}' has norm ${norm}, not ${expected}`];
    }),
    ...(Math.abs(Math.hypot(...values) / total - 1) <= row.allGradients
      ? []
      : [`all gradients together have norm ${Math.hypot(...values)}, not ${total}`]),
  ];
}

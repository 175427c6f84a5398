import { dirname, join } from 'node:path';
import { valueAndGrad } from '../../../autograd/index.ts';
import { unet2dConditionModel, unet2dModel } from '../../../diffusion/index.ts';
import { timestepEmbedding, watch } from '../../../nn/index.ts';
import { dispose, flattenTree, key, mapTree, read, realize, Tensor } from '../../../tensor/index.ts';
import { ofCase, readArchive, withPrefix } from '../archive.ts';
import { boundOf, bounds } from '../bounds.ts';
import { fillParameters } from '../parameters.ts';
import { isObject, type JsonObject } from '../params.ts';
import { compareResults, inDtype } from '../results.ts';
import { type CaseReport, type Family, type GoldenFile, messageOf, type Settings, type UnitReport } from './family.ts';

/** UNets: checkpoint folders with inputs, outputs, activations inside and gradients beside the weights. */
export const unets: Family = {
  name: 'unets',
  claim: (files) =>
    files.filter(isUNetConfig).flatMap((config) => {
      const folder = dirname(config.path);
      const io = files.find(({ path }) => path === join(folder, 'io.json'));
      const own = files.filter(({ path }) => dirname(path) === folder).map(({ path }) => path);
      if (io === undefined || own.length !== 6) return [];
      return [{ files: own, check: (settings) => checkFolder(folder, config.json as JsonObject, io, settings) }];
    }),
};

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
  const [tensors, gradients, inner] = [await archive('io'), await archive('grads'), await archive('intermediates')];
  const isGiven = (name: string): boolean => /\.(?:in\.[^.]+|target)$/.test(name);
  const expectedTensors = [...tensors.keys()].filter((name) => !isGiven(name)).length + gradients.size + inner.size;
  const cases: CaseReport[] = [];
  const specs = isObject(io.json) && Array.isArray(io.json.cases) ? (io.json.cases as readonly JsonObject[]) : [];
  const names = specs.map((spec) => String(spec.name));
  for (const [i, spec] of specs.entries()) {
    const name = String(spec.name);
    const own = ofCase(tensors, name, names);
    // Everything inside is stored for the first case only.
    const stored = new Map([...own].filter(([key]) => !isGiven(`.${key}`)));
    if (i === 0) {
      for (const [key, x] of gradients) stored.set(`grad.${key}`, x);
      for (const [key, x] of inner) stored.set(`inner.${key}`, x);
    }
    const report = await checkCase(config, spec, weights, own, stored, settings).catch((error: unknown) => ({
      problems: [messageOf(error)],
      comparisons: [],
    }));
    cases.push({ file: io.path, name, ...report });
  }
  dispose([weights, tensors, gradients, inner].flatMap((all) => [...all.values()]));
  return { expectedTensors, cases };
}

async function checkCase(
  config: JsonObject,
  spec: JsonObject,
  weights: Tensors,
  given: Tensors,
  stored: Tensors,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'>> {
  const model = config._class_name === 'UNet2DModel' ? unet2dModel(config) : unet2dConditionModel(config);
  const params = mapTree(fillParameters(model.init(key(0)), weights), (x) => inDtype(x, settings));
  const inputs = Object.fromEntries(
    [...withPrefix(given, 'in.')]
      .filter(([name]) => name !== 'timestep')
      .map(([name, x]) => [name, inDtype(x, settings)]),
  );
  const timesteps = Array.from(await read(given.get('in.timestep') as Tensor));
  const target = inDtype(given.get('target') as Tensor, settings);
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
    return [out.sub(target).square().mean(), { out, inner }] as const;
  };
  const [[value, { out, inner }], gradients] = valueAndGrad(loss, { hasAux: true })({ params, inputs });
  for (const [name, x] of await embeddings(config, names, timesteps, given.get('in.time_ids'), settings))
    inner.set(name, x);

  const results = new Map<string, Tensor>([
    ['loss', value],
    ['out', out],
  ]);
  for (const [name, x] of Object.entries(gradients.inputs)) if (name !== 'time_ids') results.set(`grad_in.${name}`, x);
  const ofParams = flattenTree(gradients.params);
  for (const { path, tensor } of ofParams) if (stored.has(`grad.${path}`)) results.set(`grad.${path}`, tensor);
  for (const [name, x] of inner) results.set(`inner.${name}`, x);

  const norms = spec.param_grad_norms as Readonly<Record<string, number>>;
  const total = Math.hypot(...Object.values(norms));
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
  const wrongNorms = await normProblems(ofParams, norms, total, settings);
  return {
    problems: [
      ...[...stored.keys()].filter((name) => !results.has(name)).map((name) => `nothing was computed for '${name}'`),
      ...[...results.keys()].filter((name) => !stored.has(name)).map((name) => `there is no '${name}' to compare with`),
      ...wrongNorms,
    ],
    comparisons: await compareResults(results, stored, boundFor, settings),
  };
}

/** Sees what the layer at a path gives; of a block on the way down, the picture that leaves it. */
function watchLayer(params: unknown, path: string, see: (output: Tensor) => void): (() => void)[] {
  const own = path
    .split('.')
    .reduce<unknown>((tree, name) => (tree as Record<string, unknown> | undefined)?.[name], params);
  if (typeof own !== 'object' || own === null) return [];
  return [watch(own, (output) => see(output instanceof Tensor ? output : (output as { readonly h: Tensor }).h))];
}

/** The sinusoidal embeddings, which are no layers here. */
async function embeddings(
  config: JsonObject,
  names: readonly string[],
  timesteps: readonly number[],
  timeIds: Tensor | undefined,
  { dtype }: Settings,
): Promise<Map<string, Tensor>> {
  const options = {
    flipSinToCos: config.flip_sin_to_cos as boolean,
    downscaleFreqShift: config.freq_shift as number,
    dtype,
  };
  const found = new Map<string, Tensor>();
  const [width] = config.block_out_channels as [number];
  if (names.includes('time_proj')) found.set('time_proj', timestepEmbedding(timesteps, width, options));
  if (names.includes('add_time_proj') && timeIds !== undefined) {
    const numbers = Array.from(await read(timeIds));
    found.set('add_time_proj', timestepEmbedding(numbers, config.addition_time_embed_dim as number, options));
  }
  return found;
}

/** The norms of all parameters' gradients are there for every case; and that of all of them together is bounded closer. */
async function normProblems(
  gradients: readonly { readonly path: string; readonly tensor: Tensor }[],
  norms: Readonly<Record<string, number>>,
  total: number,
  { device }: Settings,
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
      const bound = isNothing ? 10 * 2 ** -24 * total : bounds.unet.gradient * expected;
      return Math.abs(norm - expected) <= bound ? [] : [`the gradient of '${path}' has norm ${norm}, not ${expected}`];
    }),
    ...(Math.abs(Math.hypot(...values) / total - 1) <= bounds.unet.allGradients
      ? []
      : [`all gradients together have norm ${Math.hypot(...values)}, not ${total}`]),
  ];
}

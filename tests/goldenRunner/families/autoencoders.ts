import { dirname, join } from 'node:path';
import { valueAndGrad } from '../../../autograd/index.ts';
import { inTiles, needsTiles, type Tiling, tilingsOf } from '../../../diffusion/autoencoder/tiling.ts';
import { inCanvas } from '../../../diffusion/autoencoder/tinyTiling.ts';
import {
  autoencoderKL,
  autoencoderTiny,
  latentSample,
  loadParameters,
  oldAttentionNames,
} from '../../../diffusion/index.ts';
import { openSafetensorsFile } from '../../../tensor/index.node.ts';
import { dispose, flattenTree, key, mapTree, type Tensor } from '../../../tensor/index.ts';
import { absentFiles, ofCase, readArchive, readOptionalArchive, withPrefix } from '../archive.ts';
import { boundOf, bounds } from '../bounds.ts';
import { fillParameters } from '../parameters.ts';
import { isObject, type JsonObject } from '../params.ts';
import { compareResults, inDtype } from '../results.ts';
import {
  type CaseReport,
  type Family,
  filesNamed,
  type GoldenFile,
  messageOf,
  type Settings,
  type UnitReport,
} from './family.ts';
import { normProblems, watchLayer } from './unets.ts';

const weightsName = 'diffusion_pytorch_model.safetensors';
const required = ['config.json', weightsName, 'io.json', 'io.safetensors'];
const optional = ['grads.safetensors', 'intermediates.safetensors'];

/** Autoencoders: checkpoint folders with images, latents, decoded images and gradients beside the weights. */
export const autoencoders: Family = {
  name: 'autoencoders',
  claim: (files) =>
    files.filter(isAutoencoderConfig).flatMap((config) => {
      const folder = dirname(config.path);
      const io = files.find(({ path }) => path === join(folder, 'io.json'));
      const weights = join(folder, weightsName);
      // A folder inside another, with weights alone, is the same checkpoint under older names.
      const other = join(dirname(folder), weightsName);
      if (io === undefined) {
        const isOlder = [weights, other].every((file) => files.some(({ path }) => path === file));
        return isOlder
          ? [{ files: [config.path, weights], check: (settings) => checkOldNames(config, weights, other, settings) }]
          : [];
      }
      const own = filesNamed(files, folder, [...required, ...optional]);
      return [{ files: own, check: (settings) => checkFolder(folder, config.json as JsonObject, io, settings) }];
    }),
};

const isAutoencoderConfig = ({ path, json }: GoldenFile): boolean =>
  path.endsWith('config.json') && isObject(json) && /^Autoencoder(KL|Tiny)$/.test(String(json._class_name));

type Tensors = ReadonlyMap<string, Tensor>;

const modelOf = (config: JsonObject) =>
  config._class_name === 'AutoencoderTiny' ? autoencoderTiny(config) : autoencoderKL(config);

/** Every tensor of a checkpoint with old names, loaded under today's names, equals the one of the checkpoint beside it. */
async function checkOldNames(
  config: GoldenFile,
  weights: string,
  other: string,
  settings: Settings,
): Promise<UnitReport> {
  await using reader = await openSafetensorsFile(weights);
  const template = modelOf(config.json as JsonObject).init(key(0));
  const loaded = await loadParameters(template, reader, { device: settings.device, oldNames: oldAttentionNames });
  const expected = await readArchive(other);
  const results = new Map(flattenTree(loaded).map(({ path, tensor }) => [path, inDtype(tensor, settings)]));
  const comparisons = await compareResults(results, expected, () => ({ bound: 0, absolute: true }), settings);
  const problems = [...expected.keys()].filter((name) => !results.has(name)).map((name) => `'${name}' was not loaded`);
  dispose([loaded, [...expected.values()]]);
  return {
    expectedTensors: expected.size,
    cases: [{ file: config.path, name: 'names of today', problems, comparisons }],
  };
}

async function checkFolder(
  folder: string,
  config: JsonObject,
  io: GoldenFile,
  settings: Settings,
): Promise<UnitReport> {
  const weights = await readArchive(join(folder, weightsName));
  const tensors = await readArchive(join(folder, 'io.safetensors'));
  const found = await Promise.all(optional.map((name) => readOptionalArchive(join(folder, name))));
  const [gradients, inner] = found.map((all): Tensors => all ?? new Map()) as [Tensors, Tensors];
  const isGiven = (name: string): boolean => /\.in\.[^.]+$/.test(name);
  const description = isObject(io.json) ? io.json : {};
  const specs = Array.isArray(description.cases) ? (description.cases as readonly JsonObject[]) : [];
  const names = specs.map((spec) => String(spec.name));
  const cases: CaseReport[] = [];
  for (const [i, spec] of specs.entries()) {
    const own = ofCase(tensors, String(spec.name), names);
    const stored = new Map([...own].filter(([name]) => !isGiven(`.${name}`)));
    if (i === 0) {
      for (const [name, x] of gradients) stored.set(`grad.${name}`, x);
      for (const [name, x] of inner) stored.set(`inner.${name}`, x);
    }
    const check = typeof description.tile_sample_min_size === 'number' ? checkTiles : checkWhole;
    const report = await check(config, { ...description, ...spec }, weights, own, stored, settings).catch(
      (error: unknown) => ({ problems: [messageOf(error)], comparisons: [] }),
    );
    cases.push({ file: io.path, name: String(spec.name), ...report });
  }
  const expectedTensors = [...tensors.keys()].filter((name) => !isGiven(name)).length + gradients.size + inner.size;
  dispose([weights, tensors, gradients, inner].flatMap((all) => [...all.values()]));
  const files = Object.fromEntries(optional.map((name, i) => [name, found[i]]));
  return { expectedTensors, cases, leftOut: absentFiles(folder, files) };
}

type Checked = Pick<CaseReport, 'problems' | 'comparisons'>;

const inputOf = (given: Tensors, name: string, settings: Settings): Tensor => {
  const found = given.get(`in.${name}`);
  if (found === undefined) throw new Error(`the input '${name}' is not there`);
  return inDtype(found, settings);
};

/** The bound of an output or gradient; attention's softmax was in float32 there, so float32's bounds hold in float64 too. */
const boundsFrom = (spec: JsonObject, total: number) => {
  const errors = isObject(spec.torch_float32_error) ? spec.torch_float32_error : {};
  const error = (name: string): number => {
    const entry = errors[name];
    return isObject(entry) && typeof entry.rel_l2 === 'number' ? entry.rel_l2 : typeof entry === 'number' ? entry : 0;
  };
  return (name: string) => {
    if (name.startsWith('grad.'))
      return { bound: boundOf('f32', bounds.vae.gradient, error('param_grads_worst_rel_l2')), total };
    return boundOf('f32', name.startsWith('grad_in.') ? bounds.vae.gradient : bounds.vae.output, error(name));
  };
};

const missing = (stored: Tensors, results: ReadonlyMap<string, Tensor>): string[] =>
  [...stored.keys()].filter((name) => !results.has(name)).map((name) => `nothing was computed for '${name}'`);

/** Encodes, samples with the given noise, decodes, and differentiates mean(sample²) + mean(decoded²). */
async function checkWhole(
  config: JsonObject,
  spec: JsonObject,
  weights: Tensors,
  given: Tensors,
  stored: Tensors,
  settings: Settings,
): Promise<Checked> {
  const model = modelOf(config);
  const params = mapTree(fillParameters(model.init(key(0)), weights), (x) => inDtype(x, settings));
  const isTiny = config._class_name === 'AutoencoderTiny';
  const inputs = { image: inputOf(given, 'image', settings), z: inputOf(given, 'z', settings) };
  const noise = isTiny ? undefined : inputOf(given, 'noise', settings);
  const names = [...withPrefix(stored, 'inner.').keys()];
  type Primals = { readonly params: typeof params; readonly inputs: typeof inputs };
  const loss = ({ params, inputs: { image, z } }: Primals) => {
    const inner = new Map<string, Tensor>();
    const stops = names.flatMap((name) => watchLayer(params, name, (x) => inner.set(name, x)));
    const distribution = model.encode(params as never, image);
    const sample = noise === undefined ? distribution.mean : latentSample(distribution, noise);
    const decoded = model.decode(params as never, z);
    for (const stop of stops) stop();
    return [sample.square().mean().add(decoded.square().mean()), { distribution, sample, decoded, inner }] as const;
  };
  const [[value, { distribution, sample, decoded, inner }], gradients] = valueAndGrad(loss, { hasAux: true })({
    params,
    inputs,
  });
  const results = new Map<string, Tensor>([
    ['loss', value],
    ['decoded', decoded],
  ]);
  const { mean, logVariance } = distribution;
  if (logVariance === undefined) results.set('latents', mean);
  else {
    results.set('mean', mean);
    results.set('logvar', logVariance);
    results.set('std', logVariance.mul(0.5).exp());
    results.set('latent_sample', sample);
    results.set('scaled_latent', model.scaleLatents(sample));
  }
  for (const [name, x] of Object.entries(gradients.inputs)) results.set(`grad_in.${name}`, x);
  const ofParams = flattenTree(gradients.params);
  for (const { path, tensor } of ofParams) if (stored.has(`grad.${path}`)) results.set(`grad.${path}`, tensor);
  for (const [name, x] of inner) results.set(`inner.${name}`, x);
  if ('toUnit' in model) {
    const unit = model.toUnit(inputOf(given, 'raw', settings));
    results.set('scaled_to_unit', unit);
    results.set('unscaled_from_unit', model.fromUnit(unit));
  }
  if ('toUnit' in model && stored.has('tiled.decoded'))
    for (const [name, x] of await tinyTiles(model, params as ReturnType<Tiny['init']>, inputs, spec))
      results.set(`tiled.${name}`, x);
  const norms = isObject(spec.param_grad_norms) ? (spec.param_grad_norms as Readonly<Record<string, number>>) : {};
  const total = Math.hypot(...Object.values(norms));
  const row = { gradient: bounds.vae.gradient, allGradients: bounds.vae.gradient };
  const problems = [...missing(stored, results), ...(await normProblems(ofParams, norms, total, settings, row))];
  return { problems, comparisons: await compareResults(results, stored, boundsFrom(spec, total), settings) };
}

type Tiny = ReturnType<typeof autoencoderTiny>;

/** AutoencoderTiny with tiling on, which it then uses whatever the size is. */
async function tinyTiles(
  model: Tiny,
  params: ReturnType<Tiny['init']>,
  { image, z }: { readonly image: Tensor; readonly z: Tensor },
  { tiling }: JsonObject,
): Promise<[string, Tensor][]> {
  if (!isObject(tiling)) throw new Error('there is no description of the tiles');
  const [size, overlap] = [Number(tiling.tile_sample_min_size), Number(tiling.tile_overlap_factor)];
  return [
    ['latents', await inCanvas(image, { size, overlap, scale: 1 / model.factor }, (x) => model.encode(params, x).mean)],
    [
      'decoded',
      await inCanvas(z, { size: size / model.factor, overlap, scale: model.factor }, (x) => model.decode(params, x)),
    ],
  ];
}

/** AutoencoderKL with tiling on, which it uses above the size of a tile. */
async function checkTiles(
  config: JsonObject,
  spec: JsonObject,
  weights: Tensors,
  given: Tensors,
  stored: Tensors,
  settings: Settings,
): Promise<Checked> {
  const model = autoencoderKL(config);
  const params = mapTree(fillParameters(model.init(key(0)), weights), (x) => inDtype(x, settings));
  const { encode, decode } = tilingsOf(
    Number(spec.tile_sample_min_size),
    model.factor,
    Number(spec.tile_overlap_factor),
  );
  const compute = (x: Tensor, tiling: Tiling, f: (x: Tensor) => Tensor) =>
    needsTiles(x, tiling) ? inTiles(x, tiling, f) : Promise.resolve(f(x));
  const moments = await compute(inputOf(given, 'image', settings), encode, (x) => model.encodeMoments(params, x));
  const { mean, logVariance } = model.distributionOf(moments);
  const decoded = await compute(inputOf(given, 'z', settings), decode, (x) => model.decode(params, x));
  const results = new Map<string, Tensor>([
    ['mean', mean],
    ['decoded', decoded],
    ...(logVariance === undefined ? [] : [['logvar', logVariance] as const]),
  ]);
  return {
    problems: missing(stored, results),
    comparisons: await compareResults(results, stored, boundsFrom(spec, 0), settings),
  };
}

import { vjp } from '../../../autograd/index.ts';
import { timestepEmbedding } from '../../../nn/index.ts';
import { dispose, flattenTree, key, mapTree, read, type Tensor } from '../../../tensor/index.ts';
import { readArchive, withPrefix } from '../archive.ts';
import { boundOf, bounds } from '../bounds.ts';
import { fillParameters } from '../parameters.ts';
import { isObject, type JsonObject, Params } from '../params.ts';
import { type BoundOptions, compareResults, inDtype } from '../results.ts';
import { type CaseReport, type Family, type GoldenFile, messageOf, type Settings, type UnitReport } from './family.ts';
import { moduleAdapters } from './moduleAdapters.ts';

/** Building blocks: a JSON file whose cases name a class and its constructor's arguments, beside a safetensors file. */
export const modules: Family = {
  name: 'modules',
  claim: (files) =>
    files.filter(describesModules).flatMap((file) => {
      const tensors = file.path.replace(/\.json$/, '.safetensors');
      if (!files.some(({ path }) => path === tensors)) return [];
      return [{ files: [file.path, tensors], check: (settings) => checkFile(file, tensors, settings) }];
    }),
};

const casesOf = ({ json }: GoldenFile): readonly unknown[] =>
  isObject(json) && Array.isArray(json.cases) ? json.cases : [];

const describesModules = (file: GoldenFile): boolean =>
  casesOf(file).some((spec) => isObject(spec) && Object.hasOwn(spec, 'module'));

/** What is given: inputs, parameters, and the upstream gradient. */
const isGiven = (name: string): boolean => /\.(?:in\.[^.]+|param\..+|cot)$/.test(name);

async function checkFile(file: GoldenFile, path: string, settings: Settings): Promise<UnitReport> {
  const stored = await readArchive(path);
  const expectedTensors = [...stored.keys()].filter((name) => !isGiven(name)).length;
  const cases: CaseReport[] = [];
  for (const spec of casesOf(file)) {
    if (!isObject(spec) || typeof spec.name !== 'string') throw new Error(`${file.path}: a case has no name`);
    const tensors = withPrefix(stored, `${spec.name}.`);
    const report = await checkCase(spec, tensors, settings).catch((error: unknown) => ({
      problems: [messageOf(error)],
      comparisons: [],
    }));
    cases.push({ file: file.path, name: spec.name, ...report });
  }
  dispose([...stored.values()]);
  return { expectedTensors, cases };
}

async function checkCase(
  spec: JsonObject,
  tensors: ReadonlyMap<string, Tensor>,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'>> {
  const params = new Params(isObject(spec.constructor) ? spec.constructor : {});
  const expected = new Map([...tensors].filter(([name]) => !isGiven(`.${name}`)));
  const { results, boundFor } =
    spec.module === 'Timesteps'
      ? await embedTimesteps(params, tensors, settings)
      : await runLayer(spec, params, tensors, settings);
  const problems = [
    ...params.unread().map((name) => `the argument '${name}' is not understood`),
    ...[...expected.keys()].filter((name) => !results.has(name)).map((name) => `nothing was computed for '${name}'`),
    ...[...results.keys()].filter((name) => !expected.has(name)).map((name) => `there is no '${name}' to compare with`),
  ];
  return { problems, comparisons: await compareResults(results, expected, boundFor, settings) };
}

interface Computed {
  readonly results: ReadonlyMap<string, Tensor>;
  readonly boundFor: (name: string) => number | BoundOptions;
}

const errorsOf = (spec: JsonObject): JsonObject => (isObject(spec.torch_float32_error) ? spec.torch_float32_error : {});

/** The output of a layer and, for the upstream gradient, the gradients of its inputs and parameters. */
async function runLayer(
  spec: JsonObject,
  params: Params,
  tensors: ReadonlyMap<string, Tensor>,
  settings: Settings,
): Promise<Computed> {
  const adapter = moduleAdapters[String(spec.module)];
  if (adapter === undefined) throw new Error(`the class ${JSON.stringify(spec.module)} is not known`);
  const { layer, inputs } = adapter(params);
  const load = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`there is no tensor '${name}'`);
    return inDtype(tensor, settings);
  };
  const filled = fillParameters(layer.init(key(0)), withPrefix(tensors, 'param.'));
  const primals = [mapTree(filled, (x) => inDtype(x, settings)), inputs.map((name) => load(`in.${name}`))] as const;
  const { value, pullback } = vjp((own: unknown, given: readonly Tensor[]) => layer.apply(own, ...given), ...primals);
  const [ofParams, ofInputs] = pullback(load('cot')) as unknown as [unknown, readonly Tensor[]];
  const results = new Map<string, Tensor>([['out', value]]);
  for (const [i, name] of inputs.entries()) results.set(`grad_in.${name}`, ofInputs[i] as Tensor);
  for (const { path, tensor } of flattenTree(ofParams)) results.set(`grad_param.${path}`, tensor);

  const squares = await Promise.all(
    [...tensors]
      .filter(([name]) => name.startsWith('grad_'))
      .map(async ([, x]) => Array.from(await read(x)).reduce((sum, value) => sum + value * value, 0)),
  );
  const total = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  const { out, grads_worst_rel_l2: worst } = errorsOf(spec);
  const ofOut = isObject(out) && typeof out.rel_l2 === 'number' ? out.rel_l2 : 0;
  return {
    results,
    boundFor: (name) =>
      name === 'out'
        ? boundOf(settings.dtype, bounds.modules.output, ofOut)
        : { bound: boundOf(settings.dtype, bounds.modules.gradient, typeof worst === 'number' ? worst : 0), total },
  };
}

/** `out` was computed in float32 and misses the formula, `out_f64`, by what the case's note says. */
async function embedTimesteps(
  params: Params,
  tensors: ReadonlyMap<string, Tensor>,
  { dtype }: Settings,
): Promise<Computed> {
  const timesteps = tensors.get('in.timesteps');
  const [exact, stored] = [tensors.get('out_f64'), tensors.get('out')];
  if (timesteps === undefined || exact === undefined || stored === undefined) throw new Error('a tensor is missing');
  const width = params.integer('num_channels');
  const embedded = timestepEmbedding(Array.from(await read(timesteps)), width, {
    flipSinToCos: params.boolean('flip_sin_to_cos'),
    downscaleFreqShift: params.number('downscale_freq_shift'),
    dtype,
  });
  const [a, b] = [Array.from(await read(exact)), Array.from(await read(stored))];
  const norm = Math.sqrt(a.reduce((sum, x) => sum + x * x, 0));
  const missed = Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] as number)) ** 2, 0)) / norm;
  return {
    results: new Map([
      ['out', embedded],
      ['out_f64', embedded],
    ]),
    // f32 numbers are rounded once: half a unit in the last place.
    boundFor: (name) => (name === 'out_f64' ? 2 ** -24 : missed + 2 ** -24),
  };
}

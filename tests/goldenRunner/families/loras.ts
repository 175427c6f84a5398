import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { valueAndGrad } from '../../../autograd/index.ts';
import {
  clipTextModel,
  type JsonObject,
  kohyaLoraTensors,
  type LoraPart,
  type LoraTarget,
  openPipelineLora,
  parseObject,
  unet2dConditionModel,
} from '../../../diffusion/index.ts';
import { attachLora, type LoraAdapters, loraTensors, mergeLora } from '../../../nn/index.ts';
import { openSafetensorsFile } from '../../../tensor/index.node.ts';
import { dispose, flattenTree, item, key, mapTree, read, realize, type Tensor } from '../../../tensor/index.ts';
import { absentFiles, missingFrom, readArchive, readOptionalArchive, withPrefix } from '../archive.ts';
import { boundOf, bounds } from '../bounds.ts';
import { fillParameters } from '../parameters.ts';
import { isObject } from '../params.ts';
import { compareResults, inDtype } from '../results.ts';
import { type CaseReport, type Family, type GoldenFile, messageOf, type Settings, type UnitReport } from './family.ts';
import { normProblems } from './unets.ts';

/** LoRA: the same adapters in several formats of files, with outputs, gradients and merged weights of the models they change. */
export const loras: Family = {
  name: 'loras',
  claim: (files) =>
    files.filter(isDescription).map((io) => {
      const folder = dirname(io.path);
      const own = files.filter(({ path }) => dirname(path) === folder && path.endsWith('.safetensors'));
      return {
        files: [io.path, ...own.map(({ path }) => path)],
        check: (settings) =>
          checkFolder(
            folder,
            io,
            own.map(({ path }) => basename(path)),
            settings,
          ),
      };
    }),
};

const isDescription = ({ path, json }: GoldenFile): boolean =>
  path.endsWith('/io.json') && isObject(json) && isObject(json.base) && isObject(json.modules);

type Tensors = ReadonlyMap<string, Tensor>;
type PartAdapters = Readonly<Partial<Record<LoraPart, LoraAdapters>>>;
const ioName = 'io.safetensors';
const mergedName = 'merged.safetensors';
const isGiven = (name: string): boolean => /^(in\..*|target)$/.test(name);

/** A model that adapters are for: its parameters, and what it computes from them, by the names in the data. */
interface Base {
  readonly config: JsonObject;
  readonly params: unknown;
  outputs(params: unknown, inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
}

/** The models of a folder of data, which may leave some out. */
type Bases = Readonly<Partial<Record<LoraPart, Base>>>;

async function checkFolder(
  folder: string,
  io: GoldenFile,
  found: readonly string[],
  settings: Settings,
): Promise<UnitReport> {
  const spec = io.json as JsonObject;
  const listed = isObject(spec.files) ? Object.keys(spec.files) : [];
  const all = await readArchive(join(folder, ioName));
  const merged = await readOptionalArchive(join(folder, mergedName));
  const root = dirname(dirname(folder));
  const bases = Object.fromEntries(
    await Promise.all(
      Object.entries(spec.base as JsonObject).map(async ([part, path]) => [
        part,
        await baseOf(part, join(root, String(path)), withPrefix(all, `${part}.`), settings),
      ]),
    ),
  ) as Bases;
  const formats = found.filter((name) => name !== ioName && name !== mergedName);
  const cases: CaseReport[] = [];
  let expectedTensors = 0;
  const check = async (name: string, run: () => Promise<Omit<CaseReport, 'file' | 'name'>>): Promise<void> => {
    const report = await run().catch((error: unknown) => ({ problems: [messageOf(error)], comparisons: [] }));
    cases.push({ file: io.path, name, ...report });
  };
  for (const format of formats) {
    const adapters = await adaptersOf(join(folder, format), bases).catch((error: unknown) => messageOf(error));
    if (typeof adapters === 'string') {
      cases.push({ file: io.path, name: format, problems: [adapters], comparisons: [] });
      continue;
    }
    for (const [part, base] of Object.entries(bases) as [LoraPart, Base][]) {
      const given = withPrefix(all, `${part}.`);
      expectedTensors += [...given.keys()].filter((name) => !isGiven(name)).length;
      await check(`${format} ${part}`, () => checkPart(spec, part, base, adapters[part] ?? {}, given, settings));
    }
    if (merged !== undefined) {
      expectedTensors += merged.size;
      await check(`${format} merged`, () => checkMerged(bases, adapters, merged, settings));
    }
    for (const other of formats) {
      if (other === format) continue;
      // Read again, since comparing lets go of what is compared.
      const written = writtenAs(other, bases, await adaptersOf(join(folder, format), bases), spec);
      if (written === undefined) continue;
      const stored = await readArchive(join(folder, other));
      expectedTensors += stored.size;
      await check(`${format} written as ${other}`, async () => ({
        problems: [
          ...missingFrom(stored.keys(), written, 'nothing was written for'),
          ...missingFrom(written.keys(), stored, 'there is no tensor'),
        ],
        comparisons: await compareResults(inDtypes(written, settings), stored, () => 0, settings),
      }));
    }
  }
  dispose([all, merged ?? new Map<string, Tensor>()].flatMap((one) => [...one.values()]));
  dispose(Object.values(bases).map(({ params }) => params));
  const absent = Object.fromEntries(listed.map((name) => [name, found.includes(name) ? name : undefined]));
  return { expectedTensors, cases, leftOut: absentFiles(folder, absent) };
}

const inDtypes = (tensors: Tensors, settings: Settings): Tensors =>
  new Map([...tensors].map(([name, x]) => [name, inDtype(x, settings)]));

async function baseOf(part: string, folder: string, given: Tensors, settings: Settings): Promise<Base> {
  const config = parseObject(await readFile(join(folder, 'config.json')), join(folder, 'config.json'));
  const isUNet = part === 'unet';
  const weights = await readArchive(join(folder, isUNet ? 'diffusion_pytorch_model.safetensors' : 'model.safetensors'));
  const filled = <T>(template: T): T => mapTree(fillParameters(template, weights), (x) => inDtype(x, settings));
  if (!isUNet) {
    const model = clipTextModel(config);
    const ids = given.get('in.input_ids');
    if (ids === undefined) throw new Error(`there are no token ids for ${part}`);
    return {
      config,
      params: filled(model.init(key(0))),
      outputs: (params) => {
        const { hiddenStates, lastHiddenState, pooled, textEmbeds } = model.apply(params as never, ids);
        return {
          penultimate: hiddenStates.at(-2) as Tensor,
          last_hidden_state: lastHiddenState,
          ...(textEmbeds === undefined ? { pooler_output: pooled } : { text_embeds: textEmbeds }),
        };
      },
    };
  }
  const model = unet2dConditionModel(config);
  const steps = given.get('in.timestep');
  if (steps === undefined) throw new Error('there is no time step for the UNet');
  const timesteps = Array.from(await read(steps), Number);
  return {
    config,
    params: filled(model.init(key(0))),
    outputs: (params, { sample, encoder_hidden_states: context, text_embeds: textEmbeds, time_ids: timeIds }) => ({
      out: model.apply(params as never, sample as Tensor, timesteps.length === 1 ? Number(timesteps[0]) : timesteps, {
        context,
        added: textEmbeds && timeIds && { textEmbeds, timeIds },
      }),
    }),
  };
}

async function adaptersOf(path: string, bases: Bases): Promise<PartAdapters> {
  const { unet, text_encoder, text_encoder_2 } = bases;
  const params = {
    unet: unet?.params ?? {},
    text_encoder: text_encoder?.params ?? {},
    ...(text_encoder_2 && { text_encoder_2: text_encoder_2.params }),
  } as LoraTarget['params'];
  await using reader = await openSafetensorsFile(path);
  const file = await openPipelineLora(reader, { config: configOf(bases), params, place: 'of the data' });
  const own = await Promise.all(file.models.map(async (part) => [part, await file.read(part)] as const));
  return Object.fromEntries(own);
}

const configOf = ({ unet, text_encoder, text_encoder_2 }: Bases) => ({
  unet: unet?.config ?? {},
  textEncoder: text_encoder?.config ?? {},
  textEncoder2: text_encoder_2?.config,
});

/** What adapters are written as in a format of the project; undefined for one that is only read, or where alpha is not known any more. */
function writtenAs(name: string, bases: Bases, adapters: PartAdapters, spec: JsonObject): Tensors | undefined {
  if (name === 'peft.safetensors')
    return new Map(Object.entries(loraTensors(adapters as Record<string, LoraAdapters>)));
  const isKnown = Object.entries(adapters).every(([part, layers]) =>
    Object.entries(layers).every(([path, { alpha }]) => alpha === moduleOf(spec, part, path).alpha),
  );
  if (name !== 'kohya.safetensors' || !isKnown) return undefined;
  return new Map(Object.entries(kohyaLoraTensors(configOf(bases), adapters)));
}

function moduleOf(spec: JsonObject, part: string, path: string): { readonly rank: number; readonly alpha: number } {
  const own = isObject(spec.modules) ? spec.modules[part] : undefined;
  const found = isObject(own) ? own[path] : undefined;
  if (!isObject(found)) throw new Error(`the data has no module '${path}' of ${part}`);
  return { rank: Number(found.rank), alpha: Number(found.alpha) };
}

/** Adapters as they were trained: files that have no alpha hold B multiplied by alpha/r. */
const asTrained = (spec: JsonObject, part: string, adapters: LoraAdapters): LoraAdapters =>
  Object.fromEntries(
    Object.entries(adapters).map(([path, one]) => {
      const { rank, alpha } = moduleOf(spec, part, path);
      if (one.down.shape[0] !== rank) throw new Error(`'${path}' is of rank ${one.down.shape[0]}, not ${rank}`);
      return [path, { ...one, alpha, up: one.alpha === alpha ? one.up : one.up.mul(one.alpha / alpha) }];
    }),
  );

async function checkPart(
  spec: JsonObject,
  part: LoraPart,
  base: Base,
  adapters: LoraAdapters,
  given: Tensors,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'>> {
  const own = isObject(spec[part]) ? (spec[part] as JsonObject) : {};
  const wanted = Object.keys(isObject(spec.modules) ? ((spec.modules[part] ?? {}) as object) : {});
  const inputs = Object.fromEntries(inDtypes(withPrefix(given, 'in.'), settings));
  const floats = Object.fromEntries(Object.entries(inputs).filter(([name]) => given.has(`grad_in.${name}`)));
  const target = given.get('target');
  const loss = (primals: { readonly adapters: LoraAdapters; readonly floats: typeof floats }) => {
    const outputs = base.outputs(attachLora(base.params, primals.adapters), { ...inputs, ...primals.floats });
    const [first] = Object.values(outputs) as [Tensor];
    return [(target === undefined ? first : first.sub(inDtype(target, settings))).square().mean(), outputs] as const;
  };
  const trained = mapTree(asTrained(spec, part, adapters), (x) => inDtype(x, settings));
  const [[value, outputs], gradients] = valueAndGrad(loss, { hasAux: true })({ adapters: trained, floats });
  const half = base.outputs(attachLora(base.params, trained, { strength: 0.5 }), inputs);
  const gradientsOf = flattenTree(gradients.adapters).map(({ path, tensor }) => ({
    path: path.replace(/\.down$/, '.A').replace(/\.up$/, '.B'),
    tensor,
  }));
  const results = new Map<string, Tensor>([
    ...Object.entries(outputs),
    ...Object.entries(half).map(([name, x]) => [`scale_half.${name}`, x] as const),
    ...Object.entries(gradients.floats).map(([name, x]) => [`grad_in.${name}`, x] as const),
    ...gradientsOf.map(({ path, tensor }) => [`grad.${path}`, tensor] as const),
    ['loss', value],
  ]);
  const stored = new Map([...given].filter(([name]) => !isGiven(name)));
  const errors = isObject(own.torch_float32_error) ? own.torch_float32_error : {};
  const norms = (isObject(own.grad_norms) ? own.grad_norms : {}) as Readonly<Record<string, number>>;
  const total = Math.hypot(...Object.values(norms));
  // The sinusoidal embedding of UNets was computed in float32, even in the float64 model: so float32's bounds hold for both.
  const dtype = part === 'unet' ? 'f32' : settings.dtype;
  const boundFor = (name: string) => {
    const isGradient = name.startsWith('grad');
    const entry = errors[name.startsWith('grad.') ? 'lora_grads_all' : name];
    const error = isObject(entry) && typeof entry.rel_l2 === 'number' ? entry.rel_l2 : 0;
    const bound = boundOf(dtype, isGradient ? bounds.lora.gradient : bounds.lora.output, error);
    return name.startsWith('grad.') ? { bound, total } : { bound };
  };
  const withNorm = gradientsOf.filter(({ path }) => path in norms);
  const row = { gradient: bounds.lora.gradient, allGradients: bounds.lora.gradient };
  const problems = [
    ...missingFrom(stored.keys(), results, 'nothing was computed for'),
    ...wanted.filter((path) => !(path in adapters)).map((path) => `no adapter was read for '${path}'`),
    ...(await normProblems(withNorm, norms, total, settings, row)),
    ...(await notZero(own, gradientsOf, settings)),
  ];
  return { problems, comparisons: await compareResults(results, stored, boundFor, settings) };
}

/** Gradients of modules that the loss does not depend on are zero. */
async function notZero(
  own: JsonObject,
  gradients: readonly { readonly path: string; readonly tensor: Tensor }[],
  { device }: Settings,
): Promise<string[]> {
  const modules = Array.isArray(own.modules_without_gradient) ? (own.modules_without_gradient as string[]) : [];
  const problems: string[] = [];
  for (const { path, tensor } of gradients) {
    if (!modules.includes(path.slice(0, -2))) continue;
    const largest = await item(await realize(tensor.abs().max(), { device }));
    if (largest !== 0) problems.push(`the gradient of '${path}' is not zero`);
  }
  return problems;
}

async function checkMerged(
  bases: Bases,
  adapters: PartAdapters,
  merged: Tensors,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'>> {
  const results = new Map(
    Object.entries(bases).flatMap(([part, { params }]) =>
      flattenTree(mergeLora(params, adapters[part as LoraPart] ?? {})).flatMap(({ path, tensor }) =>
        merged.has(`${part}.${path}`) ? [[`${part}.${path}`, tensor] as const] : [],
      ),
    ),
  );
  return {
    problems: missingFrom(merged.keys(), results, 'nothing was merged into'),
    comparisons: await compareResults(results, merged, () => boundOf(settings.dtype, bounds.lora.output), settings),
  };
}

import { dirname, join } from 'node:path';
import { clipTextModel } from '../../../diffusion/index.ts';
import { dispose, key, mapTree, type Tensor } from '../../../tensor/index.ts';
import { missingFrom, ofCase, readArchive, withPrefix } from '../archive.ts';
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

/** CLIP's text encoders: checkpoint folders with token ids and every hidden state beside the weights. */
export const textEncoders: Family = {
  name: 'text encoders',
  claim: (files) =>
    files.filter(isTextEncoderConfig).flatMap((config) => {
      const folder = dirname(config.path);
      const io = files.find(({ path }) => path === join(folder, 'io.json'));
      const own = filesNamed(files, folder, ['config.json', 'model.safetensors', 'io.json', 'io.safetensors']);
      if (io === undefined) return [];
      return [{ files: own, check: (settings) => checkFolder(folder, config.json, io, settings) }];
    }),
};

const isTextEncoderConfig = ({ path, json }: GoldenFile): boolean =>
  path.endsWith('/config.json') && isObject(json) && json.model_type === 'clip_text_model';

type Tensors = ReadonlyMap<string, Tensor>;

async function checkFolder(folder: string, config: unknown, io: GoldenFile, settings: Settings): Promise<UnitReport> {
  const weights = await readArchive(join(folder, 'model.safetensors'));
  const tensors = await readArchive(join(folder, 'io.safetensors'));
  const specs = isObject(io.json) && Array.isArray(io.json.cases) ? (io.json.cases as readonly JsonObject[]) : [];
  const names = specs.map((spec) => String(spec.name));
  const cases: CaseReport[] = [];
  for (const spec of specs) {
    const name = String(spec.name);
    const report = await checkCase(config, spec, weights, ofCase(tensors, name, names), settings).catch(
      (error: unknown) => ({ problems: [messageOf(error)], comparisons: [] }),
    );
    cases.push({ file: io.path, name, ...report });
  }
  dispose([weights, tensors].flatMap((all) => [...all.values()]));
  return { expectedTensors: [...tensors.keys()].filter((name) => !/\.in\.[^.]+$/.test(name)).length, cases };
}

async function checkCase(
  config: unknown,
  spec: JsonObject,
  weights: Tensors,
  given: Tensors,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'>> {
  const model = clipTextModel(config);
  const params = mapTree(fillParameters(model.init(key(0)), weights), (x) => inDtype(x, settings));
  const ids = given.get('in.input_ids');
  if (ids === undefined) return { problems: ['there are no token ids'], comparisons: [] };
  const { hiddenStates, lastHiddenState, normalizedState, pooled, textEmbeds } = model.apply(params, ids);
  const results = new Map<string, Tensor>([
    ...hiddenStates.map((state, i) => [`hidden_states.${i}`, state] as const),
    ['last_hidden_state', lastHiddenState],
    textEmbeds === undefined ? ['pooler_output', pooled] : ['text_embeds', textEmbeds],
  ]);
  // What diffusers conditions on for each clip_skip: SDXL's last but one state and those before, or normalised states.
  for (const name of withPrefix(given, 'clip_skip.').keys()) {
    const skip = name === 'none' ? 0 : Number(name);
    const state = textEmbeds === undefined ? normalizedState(skip) : (hiddenStates.at(-2 - skip) as Tensor);
    results.set(`clip_skip.${name}`, state);
  }
  const stored = new Map([...given].filter(([name]) => !name.startsWith('in.')));
  const errors = isObject(spec.torch_float32_error) ? spec.torch_float32_error : {};
  const boundFor = (name: string): number => {
    const entry = errors[name];
    const error = isObject(entry) && typeof entry.rel_l2 === 'number' ? entry.rel_l2 : 0;
    return boundOf(settings.dtype, bounds.textEncoder.hiddenState, error);
  };
  return {
    problems: [
      ...missingFrom(stored.keys(), results, 'nothing was computed for'),
      ...missingFrom(results.keys(), stored, 'there is nothing to compare with for'),
    ],
    comparisons: await compareResults(results, stored, boundFor, settings),
  };
}

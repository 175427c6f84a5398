import { grad } from '../../../autograd/index.ts';
import { dispose, type Tensor } from '../../../tensor/index.ts';
import { ofCase, readArchive } from '../archive.ts';
import { bounds } from '../bounds.ts';
import { isObject, type JsonObject, Params } from '../params.ts';
import { compareResults, inDtype, normOf } from '../results.ts';
import {
  type CaseReport,
  type Family,
  type GoldenFile,
  type LeftOut,
  messageOf,
  type Settings,
  type UnitReport,
} from './family.ts';
import { type Script, scripts } from './objectiveScripts.ts';

/** Preference objectives on random tensors, as the scripts that their authors published compute them. */
export const objectives: Family = {
  name: 'objectives',
  claim: (files) =>
    files.filter(describesObjectives).flatMap((file) => {
      const tensors = file.path.replace(/\.json$/, '.safetensors');
      if (!files.some(({ path }) => path === tensors)) return [];
      return [{ files: [file.path, tensors], check: (settings) => checkFile(file, tensors, settings) }];
    }),
};

const casesOf = ({ json }: GoldenFile): readonly JsonObject[] =>
  isObject(json) && Array.isArray(json.cases) ? json.cases.filter(isObject) : [];

const describesObjectives = (file: GoldenFile): boolean =>
  isObject(file.json) &&
  typeof file.json.repository === 'string' &&
  casesOf(file).some(({ options }) => isObject(options));

const isGiven = (name: string): boolean => name.startsWith('in.');

type Tensors = ReadonlyMap<string, Tensor>;

/** Either what was compared, or why nothing was. */
type Checked = Pick<CaseReport, 'problems' | 'comparisons'> | string;

async function checkFile(file: GoldenFile, path: string, settings: Settings): Promise<UnitReport> {
  const { repository } = file.json as { readonly repository: string };
  const script = Object.hasOwn(scripts, repository) ? scripts[repository] : undefined;
  const stored = await readArchive(path);
  const strays = new Set(stored.keys());
  const cases: CaseReport[] = [];
  const leftOut: LeftOut[] = [];
  const internal = new Map<string, number>();
  let expectedTensors = 0;
  const names = casesOf(file).map(({ name }) => String(name));
  for (const spec of casesOf(file)) {
    const name = String(spec.name);
    const tensors = ofCase(stored, name, names);
    for (const key of tensors.keys()) strays.delete(`${name}.${key}`);
    const results = [...tensors].filter(([key]) => !isGiven(key));
    const expected = new Map(results.filter(([key]) => !script?.internal.includes(key)));
    const checked = await checkCase(script, repository, spec, tensors, expected, settings).catch((error: unknown) => ({
      problems: [messageOf(error)],
      comparisons: [],
    }));
    if (typeof checked === 'string') {
      leftOut.push({ file: file.path, name, reason: checked, tensors: results.length });
      continue;
    }
    expectedTensors += expected.size;
    for (const [key] of results) if (!expected.has(key)) internal.set(key, (internal.get(key) ?? 0) + 1);
    cases.push({ file: file.path, name, ...checked });
  }
  for (const [name, count] of internal)
    leftOut.push({ file: file.path, name, reason: 'nothing of the library corresponds to it', tensors: count });
  if (strays.size > 0) {
    const problems = [...strays].map((name) => `the tensor '${name}' belongs to no case`);
    cases.push({ file: file.path, name: '(file)', problems, comparisons: [] });
  }
  dispose([...stored.values()]);
  return { expectedTensors, cases, leftOut };
}

async function checkCase(
  script: Script | undefined,
  repository: string,
  spec: JsonObject,
  tensors: Tensors,
  expected: Tensors,
  settings: Settings,
): Promise<Checked> {
  if (script === undefined) throw new Error(`the repository ${JSON.stringify(repository)} is not known`);
  const options = new Params(isObject(spec.options) ? spec.options : {});
  const given = (name: string): Tensor => {
    const found = tensors.get(`in.${name}`);
    if (found === undefined) throw new Error(`the tensor 'in.${name}' is missing`);
    return inDtype(found, settings);
  };
  const computation = await script.run(options, given);
  if (typeof computation === 'string') return computation;
  const prediction = given('model_pred');
  const all: Readonly<Record<string, Tensor>> = {
    ...computation.others(prediction),
    loss: computation.loss(prediction),
    'grad.model_pred': grad((x: Tensor) => computation.loss(x))(prediction),
  };
  const boundFor = await boundsOf(spec, computation.amplification, expected, settings);
  const results = new Map(Object.entries(all).filter(([name]) => expected.has(name)));
  return {
    problems: [
      ...options.unread().map((name) => `the option '${name}' is not understood`),
      ...[...expected.keys()].filter((name) => !results.has(name)).map((name) => `nothing was computed for '${name}'`),
    ],
    comparisons: await compareResults(results, expected, boundFor, settings),
  };
}

/** Differences of errors, most of which cancels. */
const differences = ['model_diff', 'ref_diff', 'logits', 'g_term', 'w_diff', 'l_diff', 'w_l_diff'];

/**
 * Ten times the error that the case states for PyTorch's own float32, that of a stable formula where there is one. A few
 * numbers can be exact by luck, so that no bound is below ten roundings of what a tensor is computed from: of itself; of
 * errors, which are of order 1; or of these times β, by the table of the data. A gradient is that of the errors times a
 * function of u, whose relative error is about the absolute one of u.
 */
async function boundsOf(
  spec: JsonObject,
  amplification: number,
  expected: Tensors,
  { dtype }: Settings,
): Promise<(name: string) => number> {
  if (dtype === 'f64') return () => bounds.float64;
  const stated = [spec.torch_float32_error_with_expm1, spec.torch_float32_error].filter(isObject);
  const least: Readonly<Record<string, number>> = {
    loss: bounds.dpo.lossPerBeta * amplification,
    inside_term: bounds.dpo.insidePerBeta * amplification,
    ...Object.fromEntries(differences.map((name) => [name, 10 * 2 ** -24])),
  };
  const gradient = Math.min(bounds.dpo.gradient, bounds.dpo.insidePerBeta * amplification);
  const found = new Map<string, number>();
  for (const [name, x] of expected) {
    const entry = stated.map((errors) => errors[name]).find(isObject);
    const norm = await normOf([x]);
    // Where the reference is zero throughout, the comparison is of absolute errors.
    const absolute = (error: number): number => (norm === 0 ? error : (error * Math.sqrt(x.size)) / norm);
    const error = Number((norm === 0 ? entry?.max_abs : entry?.rel_l2) ?? 0);
    const ofMargin = name.startsWith('grad.') ? gradient : 0;
    found.set(name, Math.max(10 * error, ofMargin, 10 * 2 ** -24, absolute(least[name] ?? 0)));
  }
  return (name) => found.get(name) ?? 0;
}

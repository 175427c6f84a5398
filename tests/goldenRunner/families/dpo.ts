import { basename, dirname, join } from 'node:path';
import { grad } from '../../../autograd/index.ts';
import { noiseSchedule } from '../../../diffusion/index.ts';
import { dpo, pairOutput, sft, timestepMaps } from '../../../dpo/index.ts';
import { dispose, read, type Tensor, tensor } from '../../../tensor/index.ts';
import { ofCase, readArchive } from '../archive.ts';
import { bounds } from '../bounds.ts';
import { isObject, type JsonObject } from '../params.ts';
import { compareResults, inDtype } from '../results.ts';
import { quantities, quantityBound, type Tensors } from './dpoQuantities.ts';
import { checkSteps } from './dpoSteps.ts';
import { checkTrajectories } from './dpoTrajectories.ts';
import {
  type CaseReport,
  type Family,
  type GoldenFile,
  messageOf,
  type Settings,
  type Unit,
  type UnitReport,
} from './family.ts';

/** The objective alone; whole steps on small UNets; runs of optimisers. */
export const dpoFamily: Family = {
  name: 'dpo',
  claim: (files) => {
    const units: Unit[] = [];
    const has = (path: string) => files.some((file) => file.path === path);
    for (const file of files) {
      const folder = dirname(file.path);
      const tensors = file.path.replace(/\.json$/, '.safetensors');
      if (isObject(file.json) && String(file.json.description).startsWith('the DPO objective alone') && has(tensors))
        units.push({ files: [file.path, tensors], check: (settings) => checkLosses(file, tensors, settings) });
      if (isObject(file.json) && file.path.endsWith('turbo.json') && has(tensors))
        units.push({ files: [file.path, tensors], check: (settings) => checkVariants(file, tensors, settings) });
      if (file.path.endsWith('io.json') && has(join(folder, 'policy', 'config.json'))) {
        const inside = files.filter(({ path }) => path.startsWith(`${folder}/`) && !isTrajectory(path));
        units.push({ files: inside.map(({ path }) => path), check: (settings) => checkSteps(folder, file, settings) });
      }
      if (file.path.endsWith('trajectory.json')) {
        const own = files.filter(({ path }) => dirname(path) === folder && isTrajectory(path));
        const io = files.find(({ path }) => path === join(folder, 'io.json'));
        units.push({
          files: own.map(({ path }) => path),
          check: (settings) => checkTrajectories(folder, file, io, settings),
        });
      }
    }
    return units;
  },
};

const isTrajectory = (path: string): boolean => basename(path).startsWith('trajectory');

const isGiven = (name: string): boolean => /\.in\.[^.]+$/.test(name);

async function checkLosses(file: GoldenFile, path: string, settings: Settings): Promise<UnitReport> {
  const stored = await readArchive(path);
  const cases: CaseReport[] = [];
  const specs = (file.json as JsonObject).cases as readonly JsonObject[];
  const names = specs.map((spec) => String(spec.name));
  for (const spec of specs) {
    const name = String(spec.name);
    const tensors = ofCase(stored, name, names);
    const expected = new Map([...tensors].filter(([key]) => !isGiven(`.${key}`)));
    try {
      const results = lossResults(spec, tensors, settings);
      const beta = Number(spec.beta_dpo ?? 0);
      const comparisons = await compareResults(
        results,
        expected,
        (key) => quantityBound(key, beta, settings),
        settings,
      );
      const problems = [...expected.keys()]
        .filter((key) => !results.has(key))
        .map((key) => `nothing was computed for '${key}'`);
      cases.push({ file: file.path, name, problems, comparisons });
    } catch (error) {
      cases.push({ file: file.path, name, problems: [messageOf(error)], comparisons: [] });
    }
  }
  dispose([...stored.values()]);
  return { expectedTensors: [...stored.keys()].filter((name) => !isGiven(name)).length, cases };
}

function lossResults(spec: JsonObject, tensors: Tensors, settings: Settings): Map<string, Tensor> {
  const input = (name: string) => {
    const found = tensors.get(`in.${name}`);
    return found && inDtype(found, settings);
  };
  const [prediction, target, reference] = [input('model_pred'), input('target'), input('ref_pred')];
  if (prediction === undefined || target === undefined) throw new Error('a prediction or target is missing');
  if (reference === undefined) {
    // The supervised variant has preferred images only.
    const loss = (x: Tensor) => sft().loss({ winner: { prediction: x, target }, loser: { prediction: x, target } });
    return new Map([
      ['loss', loss(prediction)],
      ['grad.model_pred', grad(loss)(prediction)],
    ]);
  }
  const beta = Number(spec.beta_dpo);
  const loss = (x: Tensor) => dpo({ beta }).loss(pairOutput(target, x, reference));
  return quantities(pairOutput(target, prediction, reference), beta).set('grad.model_pred', grad(loss)(prediction));
}

/** What the authors change for SDXL-Turbo and for the refiner. */
async function checkVariants(file: GoldenFile, path: string, settings: Settings): Promise<UnitReport> {
  const expected = await readArchive(path);
  const given = await read(expected.get('timesteps_in') as Tensor);
  expected.delete('timesteps_in');
  const sdxl = { betaSchedule: 'scaled_linear', betaStart: 0.00085, betaEnd: 0.012 } as const;
  const table = (values: ArrayLike<number>) => tensor(Array.from(values), { dtype: settings.dtype });
  const steps = (map: (t: number) => number) =>
    tensor(
      Array.from(given, (t) => map(t)),
      { dtype: 'i32' },
    );
  const results = new Map([
    ['alphas_cumprod', table(noiseSchedule(sdxl).alphasCumprod)],
    ['alphas_cumprod_zero_terminal_snr', table(noiseSchedule({ ...sdxl, rescaleBetasZeroSnr: true }).alphasCumprod)],
    ['timesteps_turbo', steps(timestepMaps.turbo)],
    ['timesteps_refiner', steps(timestepMaps.refiner)],
  ]);
  const comparisons = await compareResults(results, expected, () => bounds.schedulers.value, settings);
  const expectedTensors = expected.size;
  dispose([...expected.values()]);
  return { expectedTensors, cases: [{ file: file.path, name: 'variants', problems: [], comparisons }] };
}

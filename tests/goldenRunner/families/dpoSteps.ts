import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { valueAndGrad } from '../../../autograd/index.ts';
import { noisingFromConfig, unet2dConditionModel } from '../../../diffusion/index.ts';
import { dpo, forBothSides, noisePairs, pairOutput, sft } from '../../../dpo/index.ts';
import { globalNorm } from '../../../nn/index.ts';
import { dispose, flattenTree, item, key, mapTree, read, realize, type Tensor } from '../../../tensor/index.ts';
import { absentFiles, readArchive, readOptionalArchive, withPrefix } from '../archive.ts';
import { bounds } from '../bounds.ts';
import { fillParameters } from '../parameters.ts';
import { isObject, type JsonObject } from '../params.ts';
import { type BoundOptions, compareResults, inDtype } from '../results.ts';
import { quantities, quantityBound, type Tensors } from './dpoQuantities.ts';
import { type CaseReport, type GoldenFile, messageOf, type Settings, type UnitReport } from './family.ts';

/** A small UNet that is tuned, and its reference. */
export async function loadPair(folder: string, settings: Settings) {
  const config = JSON.parse(await readFile(join(folder, 'policy', 'config.json'), 'utf8')) as JsonObject;
  const model = unet2dConditionModel(config);
  const load = async (name: string) => {
    const weights = await readArchive(join(folder, name, 'diffusion_pytorch_model.safetensors'));
    return mapTree(fillParameters(model.init(key(0)), weights), (x) => inDtype(x, settings));
  };
  return { model, load };
}

export type Model = Awaited<ReturnType<typeof loadPair>>['model'];
export type Params = ReturnType<Model['init']>;

/** How images are noised, what the network predicts, and the size that it is told of, as a data set states them. */
export interface Setup {
  readonly noising: ReturnType<typeof noisingFromConfig>;
  readonly resolution: number | undefined;
}

/** The setup that the first of the files which states a scheduler has. */
export function setupOf(...files: readonly unknown[]): Setup {
  const spec = files.filter(isObject).find(({ scheduler }) => isObject(scheduler));
  if (spec === undefined) throw new Error("no file states a 'scheduler'");
  const { class: _class_name, ...fields } = spec.scheduler as JsonObject;
  const resolution = spec.resolution_in_time_ids;
  return {
    noising: noisingFromConfig({ _class_name, ...fields }),
    resolution: typeof resolution === 'number' ? resolution : undefined,
  };
}

/** Inputs of a step as the authors' code has them: latents of the preferred half first, and captions once for each pair. */
export async function stepInputs(tensors: Tensors, setup: Setup, settings: Settings) {
  const input = (name: string): Tensor | undefined => {
    const found = tensors.get(`in.${name}`);
    return found && inDtype(found, settings);
  };
  const [latents, noise, context] = [input('latents'), input('noise'), input('prompt_embeds')];
  const stored = tensors.get('in.timesteps');
  if (latents === undefined || noise === undefined || context === undefined || stored === undefined)
    throw new Error('an input is missing');
  const pairs = context.shape[0] as number;
  const timesteps = Array.from(await read(stored)).slice(0, pairs);
  const [winner, loser] = [latents.sliceAxis(0, 0, pairs), latents.sliceAxis(0, pairs, 2 * pairs)];
  const pooled = input('pooled_prompt_embeds');
  const timeIds = pooled && (await timeIdsOf(input('time_ids'), setup.resolution, latents.shape[0] as number));
  const ofPairs = { winner, loser, noise: noise.sliceAxis(0, 0, pairs), timesteps };
  return { pairs, ...setup.noising, ...ofPairs, context, pooled, timeIds };
}

/** One row for every image: the stored ones, or images of the stated resolution that are not cropped. */
async function timeIdsOf(stored: Tensor | undefined, resolution: number | undefined, rows: number) {
  if (stored !== undefined) {
    const [values, width] = [Array.from(await read(stored)), stored.shape[1] as number];
    return Array.from({ length: rows }, (_, i) => values.slice(i * width, (i + 1) * width));
  }
  if (resolution === undefined) throw new Error("there are neither 'time_ids' nor 'resolution_in_time_ids'");
  return Array.from({ length: rows }, () => [resolution, resolution, 0, 0, resolution, resolution]);
}

/** What a UNet predicts for images of both sides, or of one. */
export function predictor(model: Model, inputs: Awaited<ReturnType<typeof stepInputs>>) {
  const { context, pooled, timeIds } = inputs;
  return (params: Params, noisy: Tensor, timesteps: readonly number[]): Tensor => {
    const isBoth = noisy.shape[0] === 2 * inputs.pairs;
    const repeated = (x: Tensor) => (isBoth ? forBothSides(x) : x);
    return model.apply(params, noisy, timesteps, {
      context: repeated(context),
      added: pooled && timeIds && { textEmbeds: repeated(pooled), timeIds: timeIds.slice(0, noisy.shape[0]) },
    });
  };
}

export async function checkSteps(folder: string, io: GoldenFile, settings: Settings): Promise<UnitReport> {
  const spec = io.json as JsonObject;
  const stored = await readArchive(join(folder, 'io.safetensors'));
  const gradients = await readOptionalArchive(join(folder, 'grads.safetensors'));
  const isGiven = (name: string) =>
    /(^|\.)in\.(latents|noise|timesteps|prompt_embeds|pooled_prompt_embeds|time_ids)$/.test(name);
  const expectedTensors = [...stored.keys()].filter((name) => !isGiven(name)).length + (gradients?.size ?? 0);
  const { model, load } = await loadPair(folder, settings);
  const [policy, reference] = [await load('policy'), await load('ref')];
  const cases: CaseReport[] = [];
  const check = async (
    name: string,
    expected: Tensors,
    run: () => Promise<{ results: Tensors; problems?: readonly string[] }>,
    boundFor: (key: string) => BoundOptions,
  ) => {
    try {
      const { results, problems = [] } = await run();
      const missing = [...expected.keys()]
        .filter((one) => !results.has(one))
        .map((one) => `nothing was computed for '${one}'`);
      const comparisons = await compareResults(results, expected, boundFor, settings);
      cases.push({ file: io.path, name, problems: [...problems, ...missing], comparisons });
    } catch (error) {
      cases.push({ file: io.path, name, problems: [messageOf(error)], comparisons: [] });
    }
  };

  const setup = setupOf(spec);
  const inputs = await stepInputs(stored, setup, settings);
  const predict = predictor(model, inputs);
  const { schedule, prediction, noise, timesteps } = inputs;
  const { noisy, target, modelTimesteps } = noisePairs(schedule, prediction, inputs, noise, timesteps);
  const run = (params: Params) => predict(params, noisy, modelTimesteps as readonly number[]);
  const [ofPolicy, ofReference] = await realize([run(policy), run(reference)] as const, settings);

  for (const [i, one] of (spec.runs as readonly JsonObject[]).entries()) {
    const tag = String(one.tag);
    const beta = Number(one.beta_dpo ?? 5000);
    const equal = tag === 'same';
    const expected = withPrefix(stored, `${tag}.`);
    // Where the reference is the policy, it is the reference's weights that both have.
    const base = equal ? ofPolicy : ofReference;
    if (i === 0) for (const [name, x] of gradients ?? []) expected.set(`grad.${name}`, x);
    await check(
      tag,
      expected,
      async () => {
        const results = quantities(pairOutput(target, ofPolicy, base), beta);
        const loss = (params: Params) => dpo({ beta }).loss(pairOutput(target, run(params), base));
        const [, slopes] = valueAndGrad(loss)(policy);
        const norm = await item(globalNorm(slopes));
        const wanted = Number(one.grad_norm_total);
        const bound = equal ? bounds.dpo.equalGradient : bounds.dpo.gradient;
        const problems = Math.abs(norm / wanted - 1) <= bound ? [] : [`the gradient's norm is ${norm}, not ${wanted}`];
        if (i === 0) for (const { path, tensor } of flattenTree(slopes)) results.set(`grad.${path}`, tensor);
        return { results: new Map([...results].filter(([name]) => expected.has(name))), problems };
      },
      (name) =>
        name.startsWith('grad.')
          ? { bound: bounds.dpo.gradient, total: Number(one.grad_norm_total) }
          : quantityBound(name, beta, settings),
    );
  }

  const alone = new Map([...stored].filter(([name]) => ['model_pred', 'ref_pred', 'in.noisy_latents'].includes(name)));
  await check(
    'predictions',
    alone,
    async () => ({
      results: new Map([
        ['model_pred', ofPolicy],
        ['ref_pred', ofReference],
        ['in.noisy_latents', noisy],
      ]),
    }),
    () => ({ bound: bounds.unet.output }),
  );
  const supervised = withPrefix(stored, 'sft.');
  if (supervised.size > 0)
    await check(
      'sft',
      new Map([...supervised].filter(([name]) => !isGiven(name))),
      async () => {
        const own = await stepInputs(supervised, setup, settings);
        const tell = predictor(model, own);
        const latents = own.winner;
        const noised = noisePairs(
          own.schedule,
          own.prediction,
          { winner: latents, loser: latents },
          own.noise,
          own.timesteps,
        );
        const half = (x: Tensor) => x.sliceAxis(0, 0, own.pairs);
        const side = { prediction: tell(policy, half(noised.noisy), own.timesteps), target: half(noised.target) };
        return { results: new Map([['loss', sft().loss({ winner: side, loser: side })]]) };
      },
      () => ({ bound: bounds.unet.output }),
    );
  dispose([...stored.values(), ...(gradients?.values() ?? [])]);
  return { expectedTensors, cases, leftOut: absentFiles(folder, { 'grads.safetensors': gradients }) };
}

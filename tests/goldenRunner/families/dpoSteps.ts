import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { valueAndGrad } from '../../../autograd/index.ts';
import { noisingFromConfig, unet2dConditionModel } from '../../../diffusion/index.ts';
import { dpo, forBothSides, noisePairs, pairOutput, sft } from '../../../dpo/index.ts';
import { globalNorm } from '../../../nn/index.ts';
import { dispose, flattenTree, item, key, mapTree, read, realize, type Tensor } from '../../../tensor/index.ts';
import { readArchive, withPrefix } from '../archive.ts';
import { bounds } from '../bounds.ts';
import { fillParameters } from '../parameters.ts';
import type { JsonObject } from '../params.ts';
import { type BoundOptions, compareResults, inDtype } from '../results.ts';
import { quantities, quantityBound, type Tensors } from './dpo.ts';
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

/** Inputs of a step as the authors' code has them: latents of the preferred half first, and captions once for each pair. */
export async function stepInputs(tensors: Tensors, scheduler: unknown, settings: Settings) {
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
  const { class: _class_name, ...fields } = scheduler as JsonObject;
  const { schedule } = noisingFromConfig({ _class_name, ...fields });
  const pooled = input('pooled_prompt_embeds');
  return { pairs, schedule, winner, loser, noise: noise.sliceAxis(0, 0, pairs), timesteps, context, pooled };
}

/** What a UNet predicts for pictures of both sides, or of one. */
export function predictor(
  model: Model,
  inputs: Awaited<ReturnType<typeof stepInputs>>,
  resolution: number | undefined,
) {
  const { context, pooled } = inputs;
  return (params: Params, noisy: Tensor, timesteps: readonly number[]): Tensor => {
    const isBoth = noisy.shape[0] === 2 * inputs.pairs;
    const repeated = (x: Tensor) => (isBoth ? forBothSides(x) : x);
    const timeIds = timesteps.map(() => [resolution ?? 0, resolution ?? 0, 0, 0, resolution ?? 0, resolution ?? 0]);
    return model.apply(params, noisy, timesteps, {
      context: repeated(context),
      added: pooled && { textEmbeds: repeated(pooled), timeIds },
    });
  };
}

export async function checkSteps(folder: string, io: GoldenFile, settings: Settings): Promise<UnitReport> {
  const spec = io.json as JsonObject;
  const stored = await readArchive(join(folder, 'io.safetensors'));
  const gradients = await readArchive(join(folder, 'grads.safetensors'));
  const isGiven = (name: string) =>
    /(^|\.)in\.(latents|noise|timesteps|prompt_embeds|pooled_prompt_embeds|time_ids)$/.test(name);
  const expectedTensors = [...stored.keys()].filter((name) => !isGiven(name)).length + gradients.size;
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

  const inputs = await stepInputs(stored, spec.scheduler, settings);
  const resolution = typeof spec.resolution_in_time_ids === 'number' ? spec.resolution_in_time_ids : undefined;
  const predict = predictor(model, inputs, resolution);
  const { noisy, target, told } = noisePairs(inputs.schedule, 'epsilon', inputs, inputs.noise, inputs.timesteps);
  const run = (params: Params) => predict(params, noisy, told as readonly number[]);
  const [ofPolicy, ofReference] = await realize([run(policy), run(reference)] as const, settings);

  for (const [i, one] of (spec.runs as readonly JsonObject[]).entries()) {
    const tag = String(one.tag);
    const beta = Number(one.beta_dpo ?? 5000);
    const equal = tag === 'same';
    const expected = withPrefix(stored, `${tag}.`);
    // Where the reference is the policy, it is the reference's weights that both have.
    const base = equal ? ofPolicy : ofReference;
    if (i === 0) for (const [name, x] of gradients) expected.set(`grad.${name}`, x);
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
  await check(
    'sft',
    new Map([...supervised].filter(([name]) => !isGiven(name))),
    async () => {
      const own = await stepInputs(supervised, spec.scheduler, settings);
      const tell = predictor(model, own, resolution);
      const latents = own.winner;
      const noised = noisePairs(own.schedule, 'epsilon', { winner: latents, loser: latents }, own.noise, own.timesteps);
      const half = noised.noisy.sliceAxis(0, 0, own.pairs);
      const side = { prediction: tell(policy, half, own.timesteps), target: own.noise };
      return { results: new Map([['loss', sft().loss({ winner: side, loser: side })]]) };
    },
    () => ({ bound: bounds.unet.output }),
  );
  dispose([...stored.values(), ...gradients.values()]);
  return { expectedTensors, cases };
}

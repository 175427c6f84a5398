import { join } from 'node:path';
import { dpo, timestepWeights } from '../../../dpo/index.ts';
import {
  type BatchReport,
  conditioningOfPairs,
  type PreferenceState,
  type PreferenceStep,
  type PreferenceTask,
  preferenceSteps,
  reportRows,
} from '../../../dpo/train/preferenceStep.ts';
import { adafactor, adamW, learningRateSchedule, type Optimiser, type OptimiserState } from '../../../nn/index.ts';
import { copy, dispose, flattenTree, key, realize, stack, type Tensor, tensor } from '../../../tensor/index.ts';
import { absentFiles, readArchive, readOptionalArchive, withPrefix } from '../archive.ts';
import { bounds } from '../bounds.ts';
import type { JsonObject } from '../params.ts';
import { compareResults, normOf } from '../results.ts';
import type { Tensors } from './dpoQuantities.ts';
import { loadPair, type Model, type Params, type Setup, setupOf, stepInputs } from './dpoSteps.ts';
import { type CaseReport, type GoldenFile, messageOf, type Settings, type UnitReport } from './family.ts';

/** Several updates with clipping, warm-up and accumulation, from the policy's weights with these as the reference. */
export async function checkTrajectories(
  folder: string,
  file: GoldenFile,
  io: GoldenFile | undefined,
  settings: Settings,
): Promise<UnitReport> {
  const stored = await readArchive(join(folder, 'trajectory.safetensors'));
  const final = await readOptionalArchive(join(folder, 'trajectory_final.safetensors'));
  const expectedTensors = [...stored.keys()].filter((name) => !name.includes('.in.')).length + (final?.size ?? 0);
  const cases: CaseReport[] = [];
  const setup = setupOf(file.json, io?.json);
  for (const spec of (file.json as JsonObject).runs as readonly JsonObject[]) {
    const name = String(spec.name);
    const inputs = withPrefix(stored, `${name}.`);
    const expected = new Map([...inputs].filter(([key]) => !key.startsWith('in.')));
    const deltas = withPrefix(final ?? new Map<string, Tensor>(), `${name}.delta.`);
    for (const [path, x] of deltas) expected.set(`delta.${path}`, x);
    const report = await checkRun(folder, setup, spec, inputs, expected, settings).catch((error: unknown) => ({
      problems: [messageOf(error)],
      comparisons: [],
    }));
    cases.push({ file: file.path, name, ...report });
  }
  dispose([...stored.values(), ...(final?.values() ?? [])]);
  return { expectedTensors, cases, leftOut: absentFiles(folder, { 'trajectory_final.safetensors': final }) };
}

function optimiserOf(spec: JsonObject): Optimiser<Params, OptimiserState<Params>> {
  const given = spec.optimizer as JsonObject;
  const weightDecay = Number(given.weight_decay);
  const made =
    given.class === 'AdamW'
      ? adamW<Params>({ betas: given.betas as [number, number], eps: Number(given.eps), weightDecay })
      : adafactor<Params>({
          eps: given.eps as [number, number],
          clipThreshold: Number(given.clip_threshold),
          decayRate: Number(given.decay_rate),
          scaleParameter: given.scale_parameter as boolean,
          relativeStep: given.relative_step as boolean,
          weightDecay,
        });
  return made as unknown as Optimiser<Params, OptimiserState<Params>>;
}

/** All tensors of micro-batch `i`. */
export const microBatch = (inputs: Tensors, i: number): Map<string, Tensor> =>
  new Map(
    [...inputs].flatMap(([name, x]) =>
      name.startsWith('in.') ? [[name, x.sliceAxis(0, i, i + 1).reshape(x.shape.slice(1))]] : [],
    ),
  );

const marginRow = reportRows.indexOf('margin');

/** A micro-batch, and the task whose draw is the stored noise and time steps of it. */
function taskOf(model: Model, inputs: Awaited<ReturnType<typeof stepInputs>>, beta: number) {
  const { schedule, prediction, winner, loser, noise, context, pooled, timeIds } = inputs;
  const task: PreferenceTask<Params> = {
    predict: (params, noisy, timesteps, conditioning) => model.apply(params, noisy, timesteps, conditioning),
    ...{ schedule, prediction, objective: dpo({ beta }), beta },
    weights: timestepWeights('constant', schedule, prediction),
    timesteps: [...schedule.alphasCumprod.keys()],
    draw: () => ({ noise, timesteps: tensor(inputs.timesteps, { dtype: 'i32' }) }),
  };
  const told = { context, added: pooled && { textEmbeds: pooled, timeIds: [] } };
  return { task, batch: { winner, loser, conditioning: conditioningOfPairs(told, timeIds ?? []) } };
}

const withReport = (update: PreferenceStep<Params>) => ({ report: update.report, update });

async function checkRun(
  folder: string,
  setup: Setup,
  spec: JsonObject,
  stored: Tensors,
  expected: Tensors,
  settings: Settings,
): Promise<Pick<CaseReport, 'problems' | 'comparisons'>> {
  const { model, load } = await loadPair(folder, settings);
  const { device } = settings;
  const reference = await realize(await load('policy'), { device });
  const optimiser = optimiserOf(spec);
  const beta = Number(spec.beta_dpo);
  const rate = Number(spec.learning_rate);
  const warmup = learningRateSchedule('constant_with_warmup', { warmupSteps: Number(spec.warmup_steps) });
  const parts = Number(spec.gradient_accumulation_steps);
  const lists: Record<'loss' | 'implicit_acc' | 'inside_term' | 'grad_norm' | 'lr', Tensor[]> = {
    loss: [],
    implicit_acc: [],
    inside_term: [],
    grad_norm: [],
    lr: [],
  };
  const policy = { initial: await copy(reference), parameters: (trained: Params) => trained, reference };
  const maxGradientNorm = Number(spec.max_grad_norm);
  let state: PreferenceState<Params> | undefined;
  for (let update = 0; update < Number(spec.updates); update++) {
    const learningRate = rate * warmup(update);
    let sum: Params | undefined;
    for (let part = 0; part < parts; part++) {
      const inputs = await stepInputs(microBatch(stored, update * parts + part), setup, settings);
      const { task, batch } = taskOf(model, inputs, beta);
      const steps = preferenceSteps({ task, policy, optimiser, maxGradientNorm });
      state ??= await realize(steps.init(policy.initial, undefined), { device });
      const isLast = part + 1 === parts;
      const job: { report: BatchReport; sum?: Params; update?: PreferenceStep<Params> } = isLast
        ? withReport(steps.step(state, sum, parts, batch, key(0), learningRate))
        : steps.accumulate(state.optimiser.params, sum, batch, key(0));
      const done = await realize(job, { device });
      sum = done.sum;
      const margin = done.report.pairs.sliceAxis(0, marginRow, marginRow + 1).reshape([inputs.pairs]);
      lists.loss.push(done.report.loss);
      lists.inside_term.push(margin);
      lists.implicit_acc.push(margin.greater(0).cast(settings.dtype).mean());
      if (done.update === undefined) continue;
      state = done.update.state;
      lists.grad_norm.push(done.update.gradientNorm);
      lists.lr.push(tensor(learningRate, { dtype: settings.dtype }));
    }
  }
  if (state === undefined) throw new Error('the run has no updates');
  const results = new Map(Object.entries(lists).map(([name, all]) => [name, stack(all, 0)]));
  const before = new Map(flattenTree(reference).map(({ path, tensor: x }) => [path, x]));
  for (const { path, tensor: x } of flattenTree(state.optimiser.params)) {
    if (expected.has(`delta.${path}`)) results.set(`delta.${path}`, x.sub(before.get(path) as Tensor));
  }
  const { optimiser: bound } = bounds;
  const deltas = [...expected].flatMap(([name, x]) => (name.startsWith('delta.') ? [x] : []));
  const total = await normOf(deltas);
  const boundFor = (name: string) => {
    if (name === 'loss') return { bound: bound.loss, absolute: true };
    if (name === 'inside_term') return { bound: 5e-7 * beta + bound.loss, absolute: true };
    if (name === 'grad_norm') return bound.gradientNorm;
    if (name === 'implicit_acc' || name === 'lr') return { bound: 1e-7, absolute: true };
    // Adam turns the rounding of a gradient that is zero into whole steps: such parameters are bounded with all together.
    return { bound: bound.parameterChange, total };
  };
  return {
    problems: [...expected.keys()]
      .filter((name) => !results.has(name))
      .map((name) => `nothing was computed for '${name}'`),
    comparisons: await compareResults(results, expected, boundFor, settings),
  };
}

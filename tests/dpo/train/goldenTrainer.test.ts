import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dpo, type PairSource, readSettings, timestepWeights, trainKeys } from 'diffusion-dpo/dpo';
import { copy, flattenTree, openDevice, read, setDefaultDevice, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { expect, test } from 'vitest';
import type { TrainingBatches } from '../../../dpo/train/pairTensors.ts';
import { fullPolicy } from '../../../dpo/train/policy.ts';
import { conditioningOfPairs, type Draw } from '../../../dpo/train/preferenceStep.ts';
import type { RunPlan, UNetParams } from '../../../dpo/train/runPlan.ts';
import { trainPolicy } from '../../../dpo/train/trainPolicy.node.ts';
import { readArchive } from '../../goldenRunner/archive.ts';
import { bounds } from '../../goldenRunner/bounds.ts';
import { loadPair, type Params, setupOf, stepInputs } from '../../goldenRunner/families/dpoSteps.ts';
import { microBatch } from '../../goldenRunner/families/dpoTrajectories.ts';

const device = await openDevice('wasm');
setDefaultDevice(device);

const folder = fileURLToPath(new URL('../../golden/dpo/sdxl', import.meta.url));
const [spec, io] = await Promise.all(
  ['trajectory.json', 'io.json'].map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8'))),
);
const stored = await readArchive(join(folder, 'trajectory.safetensors'));
const final = await readArchive(join(folder, 'trajectory_final.safetensors'));

interface Run {
  readonly name: string;
  readonly updates: number;
  readonly gradient_accumulation_steps: number;
  readonly warmup_steps: number;
  readonly learning_rate: number;
  readonly beta_dpo: number;
  readonly max_grad_norm: number;
  readonly optimizer: { readonly class: string; readonly weight_decay: number };
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly lr: readonly number[];
  readonly implicit_acc: readonly number[];
}

/** Pairs that are only counted: the images are latents, which the plan hands out. */
const counted = (count: number): PairSource => ({
  ...{ name: 'golden', count, ties: 0, unlabelled: 0, groups: [{ start: 0, end: count }] },
  read: () => Promise.reject(new Error('there are no images')),
  [Symbol.asyncDispose]: async () => undefined,
});

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** PyTorch's optimiser runs with diffusers' UNet, by the trainer: stored latents, noise and time steps stand for those drawn. */
test.each((spec.runs as readonly Run[]).map((run) => [run.name, run] as const))(
  'the trainer makes the steps of the golden run %s',
  async (name, run) => {
    const output = await mkdtemp(join(tmpdir(), 'golden-'));
    const { model, load } = await loadPair(folder, { device, dtype: 'f32' });
    const parts = run.gradient_accumulation_steps;
    const inputs = new Map(
      [...stored].flatMap(([key, x]) => (key.startsWith(`${name}.`) ? [[key.slice(name.length + 1), x] as const] : [])),
    );
    const micro = await Promise.all(
      Array.from({ length: run.updates * parts }, (_, i) =>
        stepInputs(microBatch(inputs, i), setupOf(spec, io), { device, dtype: 'f32' }),
      ),
    );
    const [first] = micro as [(typeof micro)[number]];
    const { schedule, prediction, pairs: batchSize } = first;
    const settings = readSettings(
      'test',
      {
        ...{ model: 'golden', pairs: 'golden', output, device: 'wasm', batchSize, accumulation: parts, logEvery: 1 },
        ...{ steps: run.updates, beta: run.beta_dpo, learningRate: run.learning_rate, warmupSteps: run.warmup_steps },
        learningRateSchedule: 'constant_with_warmup',
        ...{ optimiser: run.optimizer.class.toLowerCase(), weightDecay: run.optimizer.weight_decay },
        ...{ maxGradientNorm: run.max_grad_norm, tensorboard: false, keepCheckpoints: 1 },
      },
      trainKeys,
    );
    const draws = new Map<Tensor, Draw>();
    const batches: TrainingBatches = async function* () {
      for (const [i, { winner, loser, noise, timesteps, context, pooled, timeIds }] of micro.entries()) {
        draws.set(winner, { noise, timesteps: tensor(timesteps, { dtype: 'i32' }) });
        const told = { context, added: pooled && { textEmbeds: pooled, timeIds: [] } };
        yield {
          batch: { winner, loser, conditioning: conditioningOfPairs(told, timeIds ?? []) },
          ...{ leaves: [], next: { epoch: 0, index: (i + 1) * batchSize }, skipped: [] },
        };
      }
    };
    const plan = {
      task: {
        predict: (params: UNetParams, noisy: Tensor, timesteps: never, conditioning: never) =>
          model.apply(params as Params, noisy, timesteps, conditioning),
        ...{ schedule, prediction, objective: dpo({ beta: run.beta_dpo }), beta: run.beta_dpo },
        weights: timestepWeights('constant', schedule, prediction),
        timesteps: [...schedule.alphasCumprod.keys()],
        draw: ({ winner }: { readonly winner: Tensor }) => draws.get(winner) as Draw,
      },
      batch: { size: 8 },
      batches,
    } as unknown as RunPlan;
    const weights = (await load('policy')) as unknown as UNetParams;
    const before = new Map(flattenTree(await copy(weights)).map(({ path, tensor: x }) => [path, x]));
    const problems: string[] = [];
    try {
      const { rows } = await trainPolicy(
        { settings, device, plan, pairs: counted(micro.length * batchSize), validation: undefined, hooks: {} },
        await fullPolicy(weights, { hasReference: true }),
        weights,
        async (tuned) => {
          let [off, size] = [0, 0];
          for (const { path, tensor: x } of flattenTree(tuned)) {
            const expected = final.get(`${name}.delta.${path}`);
            if (expected === undefined) continue;
            const [moved, wanted] = await Promise.all([read(x.sub(before.get(path) as Tensor)), read(expected)]);
            moved.forEach((value, i) => {
              off += (Number(value) - Number(wanted[i])) ** 2;
              size += Number(wanted[i]) ** 2;
            });
          }
          const distance = Math.sqrt(off / size);
          if (!(distance <= bounds.optimiser.parameterChange)) problems.push(`parameters moved ${distance} elsewhere`);
          return 'saved';
        },
      );
      expect(problems).toEqual([]);
      expect(rows.map(({ step }) => step)).toEqual(run.lr.map((_, i) => i + 1));
      rows.forEach((row, i) => {
        const ofStep = (values: readonly number[]): number => meanOf(values.slice(i * parts, (i + 1) * parts));
        expect(row.learningRate).toBeCloseTo(run.lr[i] as number, 12);
        expect(Math.abs(row.loss - ofStep(run.loss))).toBeLessThanOrEqual(bounds.optimiser.loss);
        // Before the first step that moves anything every margin is 0, which counts half here and not at all there.
        if (run.lr.slice(0, i).some((rate) => rate > 0)) expect(row.accuracy).toBeCloseTo(ofStep(run.implicit_acc), 6);
        const norm = run.grad_norm[i] as number;
        expect(Math.abs((row.gradientNorm as number) / norm - 1)).toBeLessThanOrEqual(bounds.optimiser.gradientNorm);
      });
    } finally {
      await rm(output, { recursive: true });
    }
  },
);

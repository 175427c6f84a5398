import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { loadPipelineFolder, savePipelineFolder } from '../../diffusion/index.node.ts';
import { type LoraAdapters, loraTensors } from '../../nn/index.ts';
import { saveSafetensors } from '../../tensor/index.node.ts';
import { openDevice, setDefaultDevice, TensorError } from '../../tensor/index.ts';
import type { TrainSettings } from '../config/trainKeys.ts';
import { openPairs } from '../data/openSources.node.ts';
import { keyFor } from '../keys.ts';
import { fullPolicy, loraPolicy } from './policy.ts';
import { planRun, refuseLatents, type UNetParams } from './runPlan.ts';
import { type TrainHooks, type TrainResult, trainPolicy } from './trainPolicy.node.ts';

/**
 * Tunes a text-to-image pipeline on preference pairs (Wallace et al. 2023) and writes into `settings.output`: `settings.json`,
 * `metrics.jsonl`, event files for TensorBoard, `checkpoints/`, and at the end `model/`, a model folder, or
 * `pytorch_lora_weights.safetensors`. Resumes the latest training checkpoint, if there is one, and ends with the same bits as a
 * run that was never stopped.
 * @throws TensorError where settings, files or numbers are wrong, or the folder's run began with other settings; the last good
 * training checkpoint stays
 */
export async function train(settings: TrainSettings, hooks: TrainHooks = {}): Promise<TrainResult> {
  await refuseOwnOutput(settings);
  const device = await openDevice(settings.device);
  setDefaultDevice(device);
  const { storage: dtype, checkpointing } = settings;
  const pipeline = await loadPipelineFolder(settings.model, { device, dtype, checkpointing });
  refuseLatents('train', pipeline, settings.model);
  await using pairs = await openPairs(settings.pairs);
  await using validation = settings.validation === null ? undefined : await openPairs(settings.validation);
  const plan = await planRun(settings, pipeline, pairs);
  const run = { settings, hooks, device, plan, pairs, validation };
  const { unet } = pipeline.params;
  if (settings.method === 'lora') {
    if (settings.reference === 'precomputed')
      throw new TensorError("train: with method lora the model itself is the reference; leave reference at 'model'");
    const rank = settings.loraRank;
    const policy = loraPolicy(unet, keyFor(settings.seed, 'loraInit'), {
      rank,
      alpha: settings.loraAlpha ?? rank,
      targets: settings.loraTargets,
    });
    return await trainPolicy(run, policy, unet, async (adapters: LoraAdapters) => {
      const path = join(settings.output, 'pytorch_lora_weights.safetensors');
      await saveSafetensors(path, loraTensors({ unet: adapters }), { metadata: { format: 'pt' } });
      return path;
    });
  }
  const { compares } = plan.task.objective;
  if (settings.reference === 'precomputed' && compares === 'predictions')
    throw new TensorError(
      `train: ${settings.objective} compares with the reference's predictions, so its errors alone do not suffice; set reference to 'model'`,
    );
  const policy = await fullPolicy(unet, { hasReference: settings.reference === 'model' });
  return await trainPolicy(run, policy, unet, async (tuned: UNetParams) => {
    const folder = join(settings.output, 'model');
    const params = { ...pipeline.params, unet: tuned };
    await savePipelineFolder(folder, { ...pipeline, params }, { dtype: settings.saveDtype });
    return folder;
  });
}

/** Refuses to write the tuned model over the one that the run begins with. */
async function refuseOwnOutput({ model, output }: TrainSettings): Promise<void> {
  const [from, to] = await Promise.all(
    [model, join(output, 'model')].map((path) => realpath(path).catch(() => resolve(path))),
  );
  if (from === to)
    throw new TensorError(
      `train: the tuned model would be written over ${model}, which it begins with; give another output`,
    );
}

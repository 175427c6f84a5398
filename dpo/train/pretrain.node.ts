import { join } from 'node:path';
import { savePipelineFolder } from '../../diffusion/index.node.ts';
import {
  clipTokenizer,
  formatObject,
  learnTokenizer,
  noisingFromConfig,
  samplerFromConfig,
  textToImage,
  tokenIds,
} from '../../diffusion/index.ts';
import { countParameters, learningRateSchedule } from '../../nn/index.ts';
import { attempt, makeFolder, replaceFile, replaceText } from '../../tensor/index.node.ts';
import {
  copy,
  item,
  openDevice,
  realize,
  setDefaultDevice,
  type Tensor,
  type TensorError,
  tensor,
} from '../../tensor/index.ts';
import { withPresentNames } from '../config/configKey.ts';
import { type PretrainSettings, pretrainKeys } from '../config/pretrainKeys.ts';
import { gridPng } from '../data/imageGrid.ts';
import { openCaptioned } from '../data/openSources.node.ts';
import { centred, prepareImage } from '../data/preprocess.ts';
import { mapReadable } from '../data/readable.ts';
import type { CaptionedSource } from '../data/sources.ts';
import { keyFor, keyVersion, otherKeys } from '../keys.ts';
import { latestCheckpoint, loadState, saveCheckpoint, settingsOfRecord } from './checkpoint.node.ts';
import { notFinite, notFiniteError } from './notFinite.ts';
import { type PretrainState, pretraining } from './pretrain.ts';
import { realizeWhile } from './realizeWhile.ts';
import { lockRun } from './run/lockRun.node.ts';
import { removeRemains } from './run/removeRemains.node.ts';
import { openRowLog } from './run/rowLog.node.ts';
import { settingsChanges } from './run/settingsChanges.node.ts';
import { imageSizeOf } from './runPlan.ts';
import { sampleImages } from './sampleImages.ts';

/** One row of `log.jsonl`. */
export interface PretrainRow {
  readonly step: number;
  /** The mean over steps since the last row. */
  readonly loss: number;
  readonly time: string;
}

export interface PretrainHooks {
  readonly onStart?: (lines: readonly string[], progress: { readonly from: number; readonly steps: number }) => void;
  readonly onStep?: (progress: { readonly step: number; readonly loss: number }) => void;
  readonly onWarning?: (message: string) => void;
  /** Ends the run after the step that is under way, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/**
 * Trains a text-to-image pipeline from nothing on captioned images, and writes into `settings.output`: `log.jsonl`,
 * `checkpoints/`, a grid of samples with each that is due, and at the end `model/`, in f16. Goes on from the last checkpoint, if there is
 * one, and ends as if it had never been stopped.
 */
export async function pretrain(
  settings: PretrainSettings,
  hooks: PretrainHooks = {},
): Promise<{ readonly steps: number; readonly stopped: boolean; readonly model: string | undefined }> {
  const device = await openDevice(settings.device);
  setDefaultDevice(device);
  await using source = await openCaptioned(settings.images);
  const scheduler = { _class_name: 'DDIMScheduler', ...settings.scheduler };
  samplerFromConfig(scheduler);
  const positions = settings.textEncoder.max_position_embeddings;
  const maxLength = typeof positions === 'number' ? positions : 77;
  const size = imageSizeOf(settings.size, settings.unet);
  const { captions, values } = await readAll(source, size, settings, hooks);
  const tokenizer = learnTokenizer(captions, { merges: settings.merges, maxLength });
  const encode = clipTokenizer(tokenizer);
  const config = {
    unet: { _class_name: 'UNet2DConditionModel', sample_size: settings.size, ...settings.unet },
    textEncoder: {
      ...settings.textEncoder,
      bos_token_id: encode.startId,
      eos_token_id: encode.endId,
      vocab_size: Object.keys(tokenizer.vocabulary).length,
    },
  };
  const model = textToImage(config);
  const [images, ids, emptyIds] = (await realize([
    tensor(values).reshape([captions.length, 3, ...size]),
    tokenIds(encode, captions),
    tokenIds(encode, ['']),
  ])) as [Tensor, Tensor, Tensor];
  const training = pretraining({
    ...{ model, data: { images, ids, emptyIds }, ...noisingFromConfig(scheduler) },
    batchSize: settings.batchSize,
    learningRate: settings.learningRate,
    learningRateSchedule: learningRateSchedule(settings.learningRateSchedule, {
      warmupSteps: settings.warmupSteps,
      totalSteps: settings.steps,
    }),
    captionDropout: settings.captionDropout,
    optimiser: settings.optimiser,
    weightDecay: settings.weightDecay,
    maxGradientNorm: settings.maxGradientNorm,
    emaDecay: settings.emaDecay,
    key: keyFor(settings.seed, 'pretraining'),
  });

  await attempt('write', settings.output, makeFolder(settings.output));
  await using _lock = await lockRun(settings.output);
  const checkpoints = join(settings.output, 'checkpoints');
  await removeRemains(settings.output);
  const found = await latestCheckpoint(checkpoints, (message) => hooks.onWarning?.(message));
  const params = await realize(model.init(keyFor(settings.seed, 'modelInit')));
  const fresh = await training.init(params);
  let state: PretrainState = found === undefined ? fresh : await loadState(found, fresh, device);
  const from = found?.step ?? 0;
  // Going on with more steps, or another learning rate, is a way to train; so it is said and not refused.
  const changes =
    found === undefined ? [] : settingsChanges(withPresentNames(settingsOfRecord(found), pretrainKeys), settings);
  if (found !== undefined && found.record.keys !== keyVersion)
    hooks.onWarning?.(`${found.folder}: ${otherKeys}; it goes on with the new ones`);
  if (changes.length > 0) hooks.onWarning?.(`going on with other settings after step ${from}: ${changes.join('; ')}`);
  const log = await openRowLog<PretrainRow>(join(settings.output, 'log.jsonl'), from);
  await replaceText(join(settings.output, 'settings.json'), formatObject(settings));
  hooks.onStart?.(
    [
      `${captions.length} images of 3 × ${size.join(' × ')}, ${Object.keys(tokenizer.vocabulary).length} tokens, ${countParameters(params).toLocaleString('en')} parameters`,
      device.description,
    ],
    { from, steps: settings.steps },
  );

  async function drawSamples(step: number): Promise<void> {
    const count = Math.min(32, captions.length);
    const drawn = await sampleImages(
      { model, params: state.average, tokenizer, scheduler },
      {
        captions: Array.from(
          { length: count },
          (_, i) => captions[Math.floor((i * captions.length) / count)] as string,
        ),
        ...{ seed: settings.seed, size, steps: settings.sampleSteps, guidance: settings.guidance },
      },
    );
    const path = join(settings.output, `samples-${String(step).padStart(8, '0')}.png`);
    await replaceFile(path, (write) => write(gridPng(drawn, { size })));
  }

  let saved = from;
  /** What went wrong, and the first parameters that are not finite. */
  async function failure(what: string): Promise<TensorError> {
    const found = { parameters: await notFinite(state.optimiser.params) };
    return notFiniteError({ step, what, found, saved, checkpoints, advice: 'A lower learning rate may help' });
  }

  let [sum, counted] = (found?.record.sum ?? [0, 0]) as [number, number];
  let step = from;
  let next = training.step(state);
  while (step < settings.steps) {
    const { loss, ...after } = next;
    next = await realizeWhile(next, state, async () => training.step(after));
    state = after;
    step++;
    const value = await item(loss);
    if (!Number.isFinite(value)) throw await failure(`the loss is ${value}`);
    [sum, counted] = [sum + value, counted + 1];
    hooks.onStep?.({ step, loss: value });
    const isEnd = step === settings.steps;
    if (isEnd || step % settings.logEvery === 0) {
      await log.append({ step, loss: sum / counted, time: new Date().toISOString() });
      [sum, counted] = [0, 0];
    }
    const stopped = hooks.signal?.aborted === true && !isEnd;
    const isRegular = isEnd || step % settings.checkpointEvery === 0;
    if (isRegular || stopped) {
      // The loss tells only what parameters were before the step.
      if ((await notFinite(state)).length > 0) throw await failure('it left numbers that are not finite');
      await saveCheckpoint(
        checkpoints,
        step,
        state,
        { settings, keys: keyVersion, sum: [sum, counted] },
        settings.keepCheckpoints,
      );
      saved = step;
      // Whoever stops a run, or a machine that is about to, does not wait for images.
      if (isRegular) await drawSamples(step);
    }
    if (stopped) return { steps: step, stopped, model: undefined };
  }
  const folder = join(settings.output, 'model');
  const trained = await copy(state.average);
  await savePipelineFolder(folder, { config, tokenizer, scheduler, params: trained }, { dtype: 'f16' });
  return { steps: step, stopped: false, model: folder };
}

/** All images of a source that can be read, made ready. */
async function readAll(
  source: CaptionedSource,
  size: readonly [number, number],
  { maxSkipped }: PretrainSettings,
  hooks: PretrainHooks,
): Promise<{ readonly captions: readonly string[]; readonly values: Float32Array }> {
  const onSkipped = (message: string): void => hooks.onWarning?.(`skipped: ${message}`);
  const rows = await mapReadable(source, { maxSkipped, onSkipped }, ({ caption, image }) => ({
    caption,
    values: prepareImage(image, size, centred).values,
  }));
  const values = new Float32Array(rows.length * 3 * size[0] * size[1]);
  rows.forEach((row, i) => {
    values.set(row.values, i * row.values.length);
  });
  return { captions: rows.map(({ caption }) => caption), values };
}

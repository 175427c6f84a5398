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
import { replaceFile, replaceText } from '../../tensor/index.node.ts';
import {
  copy,
  type Device,
  item,
  openDevice,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from '../../tensor/index.ts';
import { withKeyNames } from '../config/configKey.ts';
import { type PretrainSettings, pretrainKeys } from '../config/pretrainKeys.ts';
import { gridPng } from '../data/imageGrid.ts';
import { openCaptioned } from '../data/openSources.node.ts';
import { centred, prepareImage } from '../data/preprocess.ts';
import { mapReadable } from '../data/readable.ts';
import type { CaptionedSource } from '../data/sources.ts';
import { keyFor, keyVersion, otherKeys } from '../keys.ts';
import { type Checkpoint, loadState, settingsOfRecord } from './checkpoint.node.ts';
import { type PretrainState, pretraining } from './pretrain.ts';
import { openRowLog } from './run/rowLog.node.ts';
import { settingsChanges } from './run/settingsChanges.node.ts';
import { imageSizeOf } from './runPlan.ts';
import { sampleImages } from './sampleImages.ts';
import { type Job, type RunHooks, type RunOutcome, type Training, trainLoop } from './trainLoop.node.ts';

/** One row of `log.jsonl`. */
export interface PretrainRow {
  readonly step: number;
  /** The mean over the steps since the last row. */
  readonly loss: number;
  /** ISO 8601, UTC. */
  readonly time: string;
}

/** Callbacks that watch a run of `pretrain`, and the signal that stops it. */
export type PretrainHooks = RunHooks;

/** One step. */
interface PretrainJob extends Job<PretrainState> {
  readonly watched: Tensor;
}

/**
 * Trains a text-to-image pipeline from nothing on captioned images, and writes into `settings.output`: `log.jsonl`,
 * `checkpoints/`, a grid of samples with each training checkpoint that is due, and at the end `model/`, in f16. Resumes the
 * latest training checkpoint, if there is one, and ends with the same bits as a run that was never stopped.
 * @throws TensorError where settings, files or numbers are wrong; the last good training checkpoint stays
 */
export async function pretrain(settings: PretrainSettings, hooks: PretrainHooks = {}): Promise<RunOutcome> {
  const device = await openDevice(settings.device);
  setDefaultDevice(device);
  await using source = await openCaptioned(settings.images);
  const plan = await planPretraining(source, settings, hooks);
  return await trainLoop(settings, hooks, (found) => beginPretraining(plan, settings, hooks, device, found));
}

/** Everything about a run that follows from its settings and its images. */
async function planPretraining(source: CaptionedSource, settings: PretrainSettings, hooks: PretrainHooks) {
  const scheduler = { _class_name: 'DDIMScheduler', ...settings.scheduler };
  // Refuses a scheduler that samples cannot be drawn with.
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
  return { scheduler, size, captions, tokenizer, config, model, training };
}

type PretrainPlan = Awaited<ReturnType<typeof planPretraining>>;

/** Makes a run ready for its next step. */
async function beginPretraining(
  { scheduler, size, captions, tokenizer, config, model, training }: PretrainPlan,
  settings: PretrainSettings,
  hooks: PretrainHooks,
  device: Device,
  found: Checkpoint | undefined,
): Promise<Training<PretrainState, PretrainJob>> {
  const { output, steps } = settings;
  const params = await realize(model.init(keyFor(settings.seed, 'modelInit')));
  const fresh = await training.init(params);
  const state = found === undefined ? fresh : await loadState(found, fresh, device);
  if (found !== undefined) warnOfChanges(found, settings, hooks);
  const log = await openRowLog<PretrainRow>(join(output, 'log.jsonl'), found?.step ?? 0);
  await replaceText(join(output, 'settings.json'), formatObject(settings));
  const tokens = Object.keys(tokenizer.vocabulary).length;
  const parameters = countParameters(params).toLocaleString('en');
  /** The sum of the losses since the last row, and how many they are. */
  let [sum, count] = (found?.record.sum ?? [0, 0]) as [number, number];

  return {
    state,
    lines: [
      `${captions.length} images of 3 × ${size.join(' × ')}, ${tokens} tokens, ${parameters} parameters`,
      device.description,
    ],
    advice: 'A lower learning rate may help',
    async build(_, before) {
      const results = training.step(before);
      const { loss, ...after } = results;
      return { results, donate: before, watched: loss, state: after, completesStep: true };
    },
    async observe({ watched }) {
      const loss = await item(watched);
      [sum, count] = [sum + loss, count + 1];
      return { loss };
    },
    async log(step) {
      if (step !== steps && step % settings.logEvery !== 0) return;
      await log.append({ step, loss: sum / count, time: new Date().toISOString() });
      [sum, count] = [0, 0];
    },
    record: () => ({ sum: [sum, count] }),
    checked: (state) => ({ numbers: state }),
    async drawSamples(step, { average }) {
      const shown = Math.min(32, captions.length);
      const drawn = await sampleImages(
        { model, params: average, tokenizer, scheduler },
        {
          captions: Array.from(
            { length: shown },
            (_, i) => captions[Math.floor((i * captions.length) / shown)] as string,
          ),
          ...{ seed: settings.seed, size, steps: settings.sampleSteps, guidance: settings.guidance },
        },
      );
      const path = join(output, `samples-${String(step).padStart(8, '0')}.png`);
      await replaceFile(path, (write) => write(gridPng(drawn, { size })));
    },
    async writeModel(state) {
      const folder = join(output, 'model');
      const params = await copy(state.average);
      await savePipelineFolder(folder, { config, tokenizer, scheduler, params }, { dtype: 'f16' });
      return folder;
    },
  };
}

/** Says with which other settings or keys a run resumes; more steps or another learning rate are a way to train. */
function warnOfChanges(found: Checkpoint, settings: PretrainSettings, { onWarning }: PretrainHooks): void {
  const changes = settingsChanges(withKeyNames(settingsOfRecord(found), pretrainKeys), settings);
  if (found.record.keys !== keyVersion) onWarning?.(`${found.folder}: ${otherKeys}; it goes on with the new ones`);
  if (changes.length > 0) onWarning?.(`going on with other settings after step ${found.step}: ${changes.join('; ')}`);
}

/** Reads the images of a source, resized and cropped to `size`; rows that cannot be read are skipped. */
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

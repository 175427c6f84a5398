import type { PipelineSource } from '../../diffusion/index.node.ts';
import { loadedStages, noisingFromConfig, type PipelinePart, samplers, textToImage } from '../../diffusion/index.ts';
import { type Device, type FloatDType, flattenTree, key, TensorError } from '../../tensor/index.ts';
import type { StorageDtype } from '../config/sampleKeys.ts';
import { type OpenCheckedOptions, openChecked } from './openChecked.node.ts';
import type { SampledPipeline } from './sampleImages.ts';

/** Options of `openSampled`. */
export interface OpenSampledOptions extends OpenCheckedOptions {
  readonly device: Device;
  /** The class of the sampler; default: the one that the pipeline names. */
  readonly sampler?: string | null;
  /** What weights are held in: 'auto' is as the files have it, or bf16 where that would not fit. */
  readonly storage?: StorageDtype;
  /** Told what a user should know of how the pipeline was opened. */
  readonly onNote?: (note: string) => void;
}

/** A pipeline to sample from, with the description that its defaults follow from. */
export interface OpenedPipeline extends SampledPipeline {
  readonly source: PipelineSource;
}

/**
 * Opens a pipeline to sample from. Its parts are read when a stage of sampling begins and let go when it ends, so that the text
 * encoders, the UNet and the autoencoder are never in memory together.
 * @throws TensorError where a stage's weights are NaN or infinite, as every image would be
 */
export async function openSampled(path: string, options: OpenSampledOptions): Promise<OpenedPipeline> {
  const { device, sampler = null, storage = 'auto', onNote, ...opening } = options;
  const source = await openChecked(path, opening);
  const scheduler = withSampler(source, sampler);
  const dtype = storageFor(source, storage, device, onNote);
  const load = (part: PipelinePart): Promise<unknown> => source.loadPart(part, { device, dtype });
  const { config, tokenizer, tokenizer2, forceZerosForEmptyPrompt } = source;
  const pipeline = { model: textToImage(config), tokenizer, tokenizer2, forceZerosForEmptyPrompt };
  return {
    ...{ source, ...pipeline, scheduler, params: {} as SampledPipeline['params'] },
    stages: loadedStages(pipeline, source.parts, load),
  };
}

/** The scheduler's configuration, with the class of another sampler where one is asked for. */
function withSampler({ place, scheduler }: PipelineSource, sampler: string | null): SampledPipeline['scheduler'] {
  const name = sampler ?? String(scheduler._class_name);
  const known = Object.keys(samplers);
  if (!known.includes(name))
    throw new TensorError(
      `${place}: there is no sampler ${JSON.stringify(name)}${sampler === null ? ', which its scheduler_config.json names' : ''}; ` +
        `choose one with --sampler: ${known.join(', ')}`,
    );
  const chosen = { ...scheduler, _class_name: name };
  const [own, other] = [scheduler, chosen].map((json) => noisingFromConfig(json).prediction);
  if (own !== other)
    throw new TensorError(
      `${place}: its network predicts as ${own} has it (${scheduler._class_name}), and the sampler ${name} needs ${other}`,
    );
  return chosen;
}

/** The share of a device's memory that weights may take; the rest is for activations. */
const weightShare = 0.6;

/** The part of a pipeline with the most weights, and the bytes that they take in f32. */
export function largestPart({ config, parts }: Pick<PipelineSource, 'config' | 'parts'>) {
  const params = textToImage(config).init(key(0)) as Readonly<Record<PipelinePart, unknown>>;
  const bytesOf = (part: PipelinePart) =>
    flattenTree(params[part]).reduce((sum, { tensor }) => sum + 4 * tensor.size, 0);
  return parts
    .map((part) => ({ part, bytes: bytesOf(part) }))
    .reduce((most, one) => (one.bytes > most.bytes ? one : most));
}

/** What the weights of a pipeline are held in. */
function storageFor(
  source: PipelineSource,
  storage: StorageDtype,
  device: Device,
  onNote: OpenSampledOptions['onNote'],
): FloatDType | ((stored: FloatDType) => FloatDType) | undefined {
  if (storage !== 'auto') return storage;
  const limit = device.abilities?.limits.memory ?? Number.POSITIVE_INFINITY;
  const { part, bytes } = largestPart(source);
  if (bytes <= weightShare * limit) return undefined;
  let isSaid = false;
  return (stored) => {
    if (stored !== 'f32') return stored;
    if (!isSaid)
      onNote?.(
        `${source.place}: weights are held in bf16, since the ${part} takes ${gibibytes(bytes)} in f32, and the device has ${gibibytes(limit)} (storage)`,
      );
    isSaid = true;
    return 'bf16';
  };
}

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

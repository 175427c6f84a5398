import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { attempt, makeFolder, readWhole, removeLeftovers, replaceFile } from '../../tensor/index.node.ts';
import { openDevice, setDefaultDevice, type Tensor, TensorError, tensor } from '../../tensor/index.ts';
import { pipelineOptions } from '../config/modelKeys.ts';
import { type SampleSettings, sampleKeys } from '../config/sampleKeys.ts';
import { decodeImage } from '../data/decodeImage.node.ts';
import { gridLayout, gridPng } from '../data/imageGrid.ts';
import { prepareWhole } from '../data/preprocess.ts';
import { counted } from '../messages.ts';
import { type OpenedPipeline, openSampled } from '../train/openSampled.node.ts';
import { imageSizeOf } from '../train/runPlan.ts';
import { type SampleImagesOptions, sampleImages, stepsOf } from '../train/sampleImages.ts';
import { samplingDefaults, withDefaults } from '../train/samplingDefaults.ts';
import { progress } from './progress.node.ts';
import { samplingParameters } from './samplingParameters.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';
import { interruptible } from './stopping.node.ts';
import { printStatus } from './terminal.node.ts';

/** `sample`: draws images for captions into one PNG file. */
export function sampleCommand(): Command {
  return commandOf('sample', 'Draw images for captions.', sampleKeys).action(
    async (options: Record<string, unknown>) => {
      const settings = await settingsOf('sample', options, sampleKeys);
      const signal = interruptible();
      // An output that cannot be written is reported before the work.
      const folder = dirname(settings.output);
      await attempt('write', folder, makeFolder(folder));
      await attempt('write', folder, access(folder, constants.W_OK));
      if ((await stat(settings.output).catch(() => undefined))?.isDirectory())
        throw new TensorError(`cannot write ${settings.output}: it is a folder; name a file in it`);
      await removeLeftovers(folder);
      const device = await openDevice(settings.device);
      setDefaultDevice(device);
      const { lora, sampler, storage } = settings;
      const pipeline = await openSampled(settings.model, {
        ...{ ...pipelineOptions(settings), device, loras: lora, sampler, storage },
        onNote: printStatus,
      });
      const captions = settings.captions.flatMap((caption) => new Array<string>(settings.count).fill(caption));
      const { size, from } = await imageOf(settings, pipeline);
      const { columns } = settings;
      const zoom = settings.zoom ?? (Math.min(...size) < 128 ? 4 : 1);
      gridLayout(captions.length, { size, columns, zoom });
      const drawn: SampleImagesOptions = {
        ...{ captions, size, from, signal, seed: settings.seed, clipSkip: settings.clipSkip },
        ...{ negatives: negativesOf(settings), rescale: settings.guidanceRescale, steps: settings.samplingSteps },
        ...{ ...withDefaults(settings, pipeline.source), autoencoder: { tileSize: settings.tileSize } },
      };
      const batches = Math.ceil(captions.length / (drawn.batchSize as number));
      const bar = progress('sampling', batches * stepsOf(pipeline.scheduler, drawn));
      const images = await sampleImages(pipeline, { ...drawn, onStep: (done) => bar.update(done) }).finally(() =>
        bar.stop(),
      );
      const text = await samplingParameters(settings, drawn, pipeline);
      await replaceFile(settings.output, (write) => write(gridPng(images, { size, columns, zoom, text })));
      printStatus(`${counted(captions.length, 'image')} in ${settings.output}`);
    },
  );
}

/** One negative prompt for each image, or none. */
function negativesOf({ captions, negative, count }: SampleSettings): string[] | undefined {
  if (negative === null) return undefined;
  if (negative.length !== 1 && negative.length !== captions.length)
    throw new TensorError(
      `sample: there are ${counted(captions.length, 'caption')} and ${negative.length} negative prompts; give one for all, or one for each`,
    );
  return captions.flatMap((_, i) => new Array<string>(count).fill(negative[negative.length === 1 ? 0 : i] as string));
}

/** The size of the images, and the image that they begin from, if there is one. */
async function imageOf(
  { size, image, strength }: SampleSettings,
  { source, model }: OpenedPipeline,
): Promise<{ readonly size: readonly [number, number]; readonly from: SampleImagesOptions['from'] }> {
  if (image === null) return { size: imageSizeOf(size, source.config.unet, model.factor), from: undefined };
  const decoded = await decodeImage(await readWhole(image), image);
  const wanted = size === null ? undefined : imageSizeOf(size, source.config.unet);
  const prepared = prepareWhole(decoded, { factor: model.factor, size: wanted });
  const pixels: Tensor = tensor(prepared.values, { shape: [1, 3, ...prepared.size] });
  return {
    size: prepared.size,
    from: { image: pixels, strength: strength ?? samplingDefaults(source).strength },
  };
}

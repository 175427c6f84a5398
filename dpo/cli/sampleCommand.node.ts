import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { attempt, makeFolder, removeLeftovers, replaceFile } from '../../tensor/index.node.ts';
import { openDevice, setDefaultDevice, TensorError } from '../../tensor/index.ts';
import { sampleKeys } from '../config/sampleKeys.ts';
import { gridLayout, gridPng } from '../data/imageGrid.ts';
import { counted } from '../messages.ts';
import { loadTuned } from '../train/loadTuned.node.ts';
import { imageSizeOf } from '../train/runPlan.ts';
import { sampleImages } from '../train/sampleImages.ts';
import { progress } from './progress.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';
import { interruptible } from './stopping.node.ts';
import { printStatus } from './terminal.node.ts';

/** `sample`: draws images of captions into one PNG file. */
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
      const pipeline = await loadTuned(settings.model, settings.lora, { device });
      const captions = settings.captions.flatMap((caption) => new Array<string>(settings.count).fill(caption));
      const size = imageSizeOf(settings.size, pipeline.config.unet);
      const { columns, zoom } = settings;
      gridLayout(captions.length, { size, columns, zoom });
      const batches = Math.ceil(captions.length / settings.sampleBatchSize);
      const bar = progress('sampling', batches * settings.samplingSteps);
      const drawn = await sampleImages(pipeline, {
        ...{ captions, size, seed: settings.seed, guidance: settings.guidance, rescale: settings.guidanceRescale },
        ...{ steps: settings.samplingSteps, batchSize: settings.sampleBatchSize, signal },
        onStep: (done) => bar.update(done),
      }).finally(() => bar.stop());
      await replaceFile(settings.output, (write) => write(gridPng(drawn, { size, columns, zoom })));
      printStatus(`${counted(captions.length, 'image')} in ${settings.output}`);
    },
  );
}

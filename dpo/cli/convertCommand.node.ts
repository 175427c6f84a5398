import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { savePipelineParts } from '../../diffusion/index.node.ts';
import { attempt, makeFolder } from '../../tensor/index.node.ts';
import { dispose, openDevice, setDefaultDevice, TensorError } from '../../tensor/index.ts';
import { convertKeys } from '../config/convertKeys.ts';
import { largestPart, openChecked } from '../train/openSampled.node.ts';
import { progress } from './progress.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';
import { interruptible } from './stopping.node.ts';
import { printStatus } from './terminal.node.ts';

/** `convert`: writes a pipeline in another dtype, in shards, or with LoRA adapters merged into it. */
export function convertCommand(): Command {
  return commandOf(
    'convert',
    'Write a pipeline in another dtype or form, or with adapters merged.',
    convertKeys,
  ).action(async (options: Record<string, unknown>) => {
    const settings = await settingsOf('convert', options, convertKeys);
    const { model, lora, output, dtype, maxShardBytes } = settings;
    const signal = interruptible();
    const isTaken = await stat(join(output, 'model_index.json')).then(
      () => true,
      () => false,
    );
    if (isTaken) throw new TensorError(`${output} holds a pipeline already; name another folder, or remove it`);
    const source = await openChecked(model, { lora });
    await attempt('write', output, makeFolder(output));
    // Weights that WebAssembly's memory cannot hold are converted by plain JavaScript.
    const wasm = await openDevice('wasm');
    const { bytes } = largestPart(source);
    const device = bytes <= (wasm.abilities?.limits.memory ?? 0) * 0.9 ? wasm : await openDevice('reference');
    setDefaultDevice(device);
    const bar = progress('converting', source.parts.length);
    let done = 0;
    await savePipelineParts(
      output,
      source,
      async (part, save) => {
        signal.throwIfAborted();
        const params = await source.loadPart(part, { device });
        await save(params);
        dispose(params);
        bar.update(++done);
      },
      { dtype: dtype ?? undefined, maxShardBytes: maxShardBytes ?? undefined },
    ).finally(() => bar.stop());
    printStatus(`the pipeline is in ${output}`);
  });
}

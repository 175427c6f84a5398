import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { savePipelineParts, saveSingleFileParts } from '../../diffusion/index.node.ts';
import type { PipelinePart } from '../../diffusion/index.ts';
import { attempt, makeFolder } from '../../tensor/index.node.ts';
import { dispose, openDevice, setDefaultDevice, TensorError } from '../../tensor/index.ts';
import { convertKeys } from '../config/convertKeys.ts';
import { pipelineOptions } from '../config/modelKeys.ts';
import { openChecked } from '../train/openChecked.node.ts';
import { largestPart } from '../train/openSampled.node.ts';
import { progress } from './progress.node.ts';
import { commandOf, settingsOf } from './settings.node.ts';
import { interruptible } from './stopping.node.ts';
import { printStatus } from './terminal.node.ts';

/** `convert`: writes a pipeline as a folder or a single file, in another dtype, in shards, or with LoRA adapters merged into it. */
export function convertCommand(): Command {
  return commandOf(
    'convert',
    'Write a pipeline as a folder or a single file, in another dtype, or with adapters merged.',
    convertKeys,
  ).action(async (options: Record<string, unknown>) => {
    const settings = await settingsOf('convert', options, convertKeys);
    const { model, lora, output, dtype, maxShardBytes } = settings;
    const signal = interruptible();
    const isFile = output.endsWith('.safetensors');
    await refuseTaken(output, isFile);
    if (isFile && maxShardBytes !== null)
      throw new TensorError(`convert: ${output} is one file, and maxShardBytes is for folders; leave it out`);
    const source = await openChecked(model, { ...pipelineOptions(settings), loras: lora });
    await attempt('write', output, makeFolder(isFile ? dirname(output) : output));
    // Weights that WebAssembly's memory cannot hold are converted by plain JavaScript.
    const wasm = await openDevice('wasm');
    const { bytes } = largestPart(source);
    const device = bytes <= (wasm.abilities?.limits.memory ?? 0) * 0.9 ? wasm : await openDevice('reference');
    setDefaultDevice(device);
    const bar = progress('converting', source.parts.length);
    let done = 0;
    const withPart = async (part: PipelinePart, save: (params: unknown) => Promise<void>): Promise<void> => {
      signal.throwIfAborted();
      const params = await source.loadPart(part, { device });
      await save(params);
      dispose(params);
      bar.update(++done);
    };
    const written = { dtype: dtype ?? undefined };
    await (isFile
      ? saveSingleFileParts(output, source, withPart, written)
      : savePipelineParts(output, source, withPart, { ...written, maxShardBytes: maxShardBytes ?? undefined })
    ).finally(() => bar.stop());
    printStatus(`the pipeline is in ${output}`);
  });
}

/** Refuses an output that holds something already: weights take long to make, and cannot be brought back. */
async function refuseTaken(output: string, isFile: boolean): Promise<void> {
  const taken = await stat(isFile ? output : join(output, 'model_index.json')).then(
    () => true,
    () => false,
  );
  if (!taken) return;
  throw new TensorError(
    isFile
      ? `${output} is there already; name another file, or remove it`
      : `${output} holds a pipeline already; name another folder, or remove it`,
  );
}

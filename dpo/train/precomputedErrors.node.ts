import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensorsFile, saveSafetensors } from '../../tensor/index.node.ts';
import { dispose, FormatError, read, type Tensor, tensor } from '../../tensor/index.ts';
import { type PairBatchOptions, pairBatches } from '../data/pairBatches.ts';
import type { PairSource } from '../data/sources.ts';
import { type PairConditioning, pairTensors } from './pairTensors.ts';
import { type PreferenceTask, referenceErrors } from './preferenceStep.ts';
import { type ErrorsOf, readErrors, storedErrors } from './storedErrors.ts';

/**
 * MSE_ref of every micro-batch that a run will see, in order, with the noise and the time steps that it will draw: f32[batches, 2,
 * pairs], kept in a file, so that a run that goes on need not compute them again. Only one copy of the weights is needed then.
 */
export async function precomputedErrors<P>({
  file,
  batches,
  task,
  reference,
  pairs,
  batch,
  conditioning,
  keyOf,
  onBatch,
  signal,
}: {
  readonly file: string;
  readonly batches: number;
  readonly task: PreferenceTask<P>;
  readonly reference: P;
  readonly pairs: PairSource;
  readonly batch: PairBatchOptions;
  readonly conditioning: PairConditioning;
  readonly keyOf: (batch: number) => Tensor;
  readonly onBatch?: ((done: number, batches: number) => void) | undefined;
  /** Ends it with an error before the next batch; nothing is kept then. */
  readonly signal?: AbortSignal | undefined;
}): Promise<ErrorsOf> {
  const name = 'reference_errors';
  const shape = [batches, 2, batch.batchSize];
  let values: Float32Array;
  if (
    await access(file).then(
      () => true,
      () => false,
    )
  ) {
    await using stored = await openSafetensorsFile(file);
    const { shape: found } = await stored.entry(name);
    if (found.join() !== shape.join())
      throw new FormatError(
        `${file}: holds errors of shape [${found.join(', ')}], and this run needs [${shape.join(', ')}]`,
      );
    values = (await read(await stored.read(name))) as Float32Array;
  } else {
    values = new Float32Array(batches * 2 * batch.batchSize);
    let i = 0;
    for await (const host of pairBatches(pairs, batch)) {
      signal?.throwIfAborted();
      const { batch: tensors, leaves } = pairTensors(conditioning, host);
      values.set(await readErrors(referenceErrors(task, reference, tensors, keyOf(i))), i * 2 * batch.batchSize);
      dispose(leaves);
      i++;
      onBatch?.(i, batches);
      if (i === batches) break;
    }
    await saveSafetensors(file, { [name]: tensor(values).reshape(shape) });
  }
  return storedErrors(values, batch.batchSize);
}

/** Where a run keeps them. */
export const errorsFile = (output: string): string => join(output, 'reference_errors.safetensors');

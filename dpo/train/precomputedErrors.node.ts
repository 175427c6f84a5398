import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensorsFile, saveSafetensors } from '../../tensor/index.node.ts';
import { type Device, dispose, read, type Tensor, tensor } from '../../tensor/index.ts';
import type { TrainingBatches } from './pairTensors.ts';
import { type PreferenceTask, referenceErrors } from './preferenceStep.ts';
import { type ErrorsOf, readErrors, storedErrors } from './storedErrors.ts';

const name = 'reference_errors';

/** Names the executor and the device, whose bits differ from others'. The number of threads changes no bits. */
const placeOf = ({ description }: Device): string => description.replace(/, \d+ threads?$/, '');

/** Reads the errors of a file; undefined without a file, or the reason why they cannot be used. */
async function storedValues(
  file: string,
  identity: string,
  place: string,
  shape: readonly number[],
): Promise<Float32Array | string | undefined> {
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  await using stored = await openSafetensorsFile(file);
  const isOurs = stored.metadata.get('settings') === identity && stored.names.includes(name);
  if (!isOurs || (await stored.entry(name)).shape.join() !== shape.join())
    return 'are of other settings, pairs or weights';
  const before = stored.metadata.get('device') ?? 'an unknown device';
  if (before !== place) return `were computed on another device (${before}; now ${place})`;
  return (await read(await stored.read(name))) as Float32Array;
}

/**
 * MSE_ref of every micro-batch of a run, with the noise and the time steps that the run will draw: f32[batches, 2, pairs] in a
 * file, which a resumed run reads again. The run then needs one copy of the weights only.
 */
export async function precomputedErrors<P>({
  file,
  identity,
  count,
  task,
  reference,
  batches,
  batchSize,
  keyOf,
  device,
  onBatch,
  onAnew,
  signal,
}: {
  readonly file: string;
  /** Names all that the errors depend on; errors of a file with another identity are computed anew. */
  readonly identity: string;
  /** Micro-batches of the run. */
  readonly count: number;
  readonly task: PreferenceTask<P>;
  readonly reference: P;
  readonly batches: TrainingBatches;
  /** Pairs in a micro-batch. */
  readonly batchSize: number;
  readonly keyOf: (batch: number) => Tensor;
  /** The device of the run. Errors of another device would differ from the policy's, and u would not begin at 0. */
  readonly device: Device;
  readonly onBatch?: ((done: number, batches: number) => void) | undefined;
  /** Called with the reason why the file's errors are not used. */
  readonly onAnew?: ((message: string) => void) | undefined;
  /** Ends the computation with an error before the next batch; no file is written. */
  readonly signal?: AbortSignal | undefined;
}): Promise<ErrorsOf> {
  const shape = [count, 2, batchSize];
  const place = placeOf(device);
  const stored = await storedValues(file, identity, place, shape);
  if (typeof stored === 'string') onAnew?.(`${file}: the reference's errors there ${stored}; they are computed anew`);
  let values = stored;
  if (!(values instanceof Float32Array)) {
    values = new Float32Array(count * 2 * batchSize);
    let i = 0;
    for await (const { batch, leaves } of batches()) {
      signal?.throwIfAborted();
      values.set(await readErrors(referenceErrors(task, reference, batch, keyOf(i))), i * 2 * batchSize);
      dispose(leaves);
      i++;
      onBatch?.(i, count);
      if (i === count) break;
    }
    await saveSafetensors(
      file,
      { [name]: tensor(values).reshape(shape) },
      {
        metadata: { settings: identity, device: place },
      },
    );
  }
  return storedErrors(values, batchSize);
}

/** The file of the errors in a run's folder. */
export const errorsFile = (output: string): string => join(output, 'reference_errors.safetensors');

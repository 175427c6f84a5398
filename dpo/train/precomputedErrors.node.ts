import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensorsFile, saveSafetensors } from '../../tensor/index.node.ts';
import { type Device, dispose, read, type Tensor, tensor } from '../../tensor/index.ts';
import type { TrainingBatches } from './pairTensors.ts';
import { type PreferenceTask, referenceErrors } from './preferenceStep.ts';
import { type ErrorsOf, readErrors, storedErrors } from './storedErrors.ts';

const name = 'reference_errors';

/** What tells where errors were computed from elsewhere: the bits of another executor or device are others, whatever the threads. */
const placeOf = ({ description }: Device): string => description.replace(/, \d+ threads?$/, '');

/** What a file holds, if it is there and was computed with such settings at such a place; else why it is replaced. */
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
 * MSE_ref of every micro-batch that a run will see, in order, with the noise and the time steps that it will draw: f32[batches, 2,
 * pairs], kept in a file, so that a run that goes on need not compute them again. Only one copy of the weights is needed then.
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
  /** Of the settings that the errors depend on: those of others are computed anew. */
  readonly identity: string;
  /** How many micro-batches the run has. */
  readonly count: number;
  readonly task: PreferenceTask<P>;
  readonly reference: P;
  readonly batches: TrainingBatches;
  /** Pairs in each. */
  readonly batchSize: number;
  readonly keyOf: (batch: number) => Tensor;
  /** Where the run computes: on another device the policy's errors would not be the reference's, and u not 0 at first. */
  readonly device: Device;
  readonly onBatch?: ((done: number, batches: number) => void) | undefined;
  /** Told why stored errors are not used, where there are some. */
  readonly onAnew?: ((message: string) => void) | undefined;
  /** Ends it with an error before the next batch; nothing is kept then. */
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

/** Where a run keeps them. */
export const errorsFile = (output: string): string => join(output, 'reference_errors.safetensors');

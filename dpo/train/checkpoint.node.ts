import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { readObject, writeText } from '../../diffusion/index.node.ts';
import { loadParameters } from '../../diffusion/index.ts';
import {
  attempt,
  makeFolder,
  openSafetensorsFile,
  removedAtExit,
  saveSafetensors,
  syncFolder,
} from '../../tensor/index.node.ts';
import { type Device, FormatError, flattenTree, Tensor, TensorError } from '../../tensor/index.ts';

const stateName = 'state.safetensors';
/** Its presence makes a folder a checkpoint. */
export const recordName = 'checkpoint.json';
const folderName = (step: number): string => `step-${String(step).padStart(8, '0')}`;
const folderPattern = /^step-(\d{8,})$/;
const stagingPattern = /^step-\d{8,}\.tmp$/;

/** A checkpoint: a folder with the tensors of a state, and a record of everything else that is needed to go on. */
export interface Checkpoint {
  readonly folder: string;
  readonly step: number;
  readonly record: Readonly<Record<string, unknown>>;
}

/**
 * Writes a checkpoint into `folder/step-00000000`, under another name first: what has the name is complete. Of the earlier
 * ones the last `keep − 1` stay.
 */
export async function saveCheckpoint(
  folder: string,
  step: number,
  state: unknown,
  record: Readonly<Record<string, unknown>>,
  keep: number,
): Promise<string> {
  const target = join(folder, folderName(step));
  const staging = `${target}.tmp`;
  await attempt('write', folder, makeFolder(folder));
  const isDone = removedAtExit(staging);
  try {
    await attempt('write', staging, rm(staging, { recursive: true, force: true }));
    await attempt('write', staging, mkdir(staging));
    const tensors = flattenTree(state).map(({ path, tensor }) => [path, tensor] as const);
    await saveSafetensors(join(staging, stateName), tensors);
    const stateHash = await hashOf(join(staging, stateName));
    await writeText(join(staging, recordName), `${JSON.stringify({ ...record, step, stateHash }, null, 2)}\n`);
    await attempt('write', staging, syncFolder(staging));
    await attempt('write', target, rm(target, { recursive: true, force: true }));
    await attempt('write', target, rename(staging, target));
    await attempt('write', folder, syncFolder(folder));
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  } finally {
    isDone();
  }
  const steps = await checkpointSteps(folder);
  for (const old of steps.filter((one) => one < step).slice(0, -(keep - 1) || undefined))
    await attempt('write', folder, rm(join(folder, folderName(old)), { recursive: true, force: true }));
  return target;
}

async function namesIn(folder: string): Promise<string[]> {
  const found = readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return attempt('read', folder, found);
}

/** Steps of the checkpoints in a folder, rising. */
const checkpointSteps = async (folder: string): Promise<number[]> =>
  (await namesIn(folder))
    .flatMap((name) => folderPattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);

/** Removes checkpoints from a folder that a run began to write before it was killed; no run may be writing there. */
export async function removeUnfinishedCheckpoints(folder: string): Promise<void> {
  for (const name of (await namesIn(folder)).filter((one) => stagingPattern.test(one)))
    await attempt('write', folder, rm(join(folder, name), { recursive: true, force: true }));
}

/**
 * The latest checkpoint of a folder that can be read, if there is one. `onDamaged` is told of those that are passed over.
 * @throws FormatError where there are checkpoints and none can be read: to begin anew is for people to decide
 */
export async function latestCheckpoint(
  folder: string,
  onDamaged: (message: string) => void,
): Promise<Checkpoint | undefined> {
  const damaged: string[] = [];
  for (const step of (await checkpointSteps(folder)).reverse()) {
    try {
      const found = await readCheckpoint(join(folder, folderName(step)), step);
      for (const problem of damaged)
        onDamaged(`a damaged checkpoint is passed over for that of step ${step}: ${problem}`);
      return found;
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push(error.message);
    }
  }
  if (damaged.length === 0) return undefined;
  throw new FormatError(
    `${folder}: no checkpoint can be read: ${damaged.join('; ')}. Remove them to begin anew, or put back what is missing`,
  );
}

/** SHA-256 of a file, in hexadecimal digits. */
async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await attempt('read', path, pipeline(createReadStream(path), hash));
  return hash.digest('hex');
}

/** Reads the record of a checkpoint. The file of its state must be whole, and hold the bytes that were written. */
async function readCheckpoint(folder: string, step: number): Promise<Checkpoint> {
  const record = await readRecord(folder);
  if (record.step !== step)
    throw new FormatError(`${join(folder, recordName)}: is of step ${String(record.step)}, not ${step}`);
  settingsOfRecord({ folder, record });
  const state = join(folder, stateName);
  await (await openSafetensorsFile(state)).close();
  // Checkpoints of earlier versions have no hash.
  if (record.stateHash !== undefined && record.stateHash !== (await hashOf(state)))
    throw new FormatError(`${state}: its bytes are not those that were written`);
  return { folder, step, record };
}

/** Whether an error is of a file that is not what it should be, or not there; not of one that cannot be read for now. */
const isDamage = (error: unknown): error is TensorError =>
  error instanceof FormatError ||
  (error instanceof TensorError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT');

/** What the folder of a checkpoint says beside its tensors. */
export async function readRecord(folder: string): Promise<Checkpoint['record']> {
  const file = join(folder, recordName);
  return readObject(file);
}

/** The settings of the run that a checkpoint is of. */
export function settingsOfRecord({ folder, record }: Pick<Checkpoint, 'folder' | 'record'>): Record<string, unknown> {
  const { settings } = record;
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings))
    throw new FormatError(
      `${join(folder, recordName)}: it does not say what the settings were; remove that checkpoint`,
    );
  return settings as Record<string, unknown>;
}

/**
 * The state of a checkpoint, in the form of a fresh one, with its numbers, such as that of steps, set to the checkpoint's.
 * @throws FormatError that lists every tensor that is missing, unexpected or of another shape.
 */
export async function loadState<S extends object>({ folder, step }: Checkpoint, fresh: S, device?: Device): Promise<S> {
  await using reader = await openSafetensorsFile(join(folder, stateName));
  return withSteps(await loadParameters(fresh, reader, { device }), step);
}

/** A tree whose numbers named `steps` are set: those of optimisers. */
function withSteps<T>(tree: T, steps: number): T {
  const update = (node: unknown, name: string): unknown => {
    if (name === 'steps' && typeof node === 'number') return steps;
    if (typeof node !== 'object' || node === null || node instanceof Tensor) return node;
    if (Array.isArray(node)) return node.map((one) => update(one, ''));
    return Object.fromEntries(Object.entries(node).map(([key, one]) => [key, update(one, key)]));
  };
  return update(tree, '') as T;
}

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
/** The file that makes a folder a training checkpoint. */
export const recordName = 'checkpoint.json';
const folderName = (step: number): string => `step-${String(step).padStart(8, '0')}`;
const folderPattern = /^step-(\d{8,})$/;
const stagingPattern = /^step-\d{8,}\.tmp$/;

/** A training checkpoint: a folder with the tensors of a run's state, and a record of all else that resuming needs. */
export interface Checkpoint {
  readonly folder: string;
  readonly step: number;
  readonly record: Readonly<Record<string, unknown>>;
}

/**
 * Writes a training checkpoint to `folder/step-00000000`. It is written under another name and renamed, so that a folder of
 * this name is complete. Of the earlier ones the last `keep − 1` stay.
 * @returns the path of the training checkpoint
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

/** The steps of the training checkpoints in a folder, in ascending order. */
const checkpointSteps = async (folder: string): Promise<number[]> =>
  (await namesIn(folder))
    .flatMap((name) => folderPattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);

/** Removes training checkpoints that a killed run left half written; no run may be writing into the folder. */
export async function removeUnfinishedCheckpoints(folder: string): Promise<void> {
  for (const name of (await namesIn(folder)).filter((one) => stagingPattern.test(one)))
    await attempt('write', folder, rm(join(folder, name), { recursive: true, force: true }));
}

/**
 * The latest training checkpoint of a folder that is not damaged; undefined where there is none at all.
 * @param onDamaged called for each later one, which is damaged
 * @throws FormatError where all are damaged: people decide whether to begin anew
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

/**
 * Reads the record of a training checkpoint, and checks that the file of its tensors holds the bytes that were written.
 */
async function readCheckpoint(folder: string, step: number): Promise<Checkpoint> {
  const record = await readRecord(folder);
  if (record.step !== step)
    throw new FormatError(`${join(folder, recordName)}: is of step ${String(record.step)}, not ${step}`);
  settingsOfRecord({ folder, record });
  const state = join(folder, stateName);
  await (await openSafetensorsFile(state)).close();
  // Earlier versions wrote no hash.
  if (record.stateHash !== undefined && record.stateHash !== (await hashOf(state)))
    throw new FormatError(`${state}: its bytes are not those that were written`);
  return { folder, step, record };
}

/**
 * True for the error of a file that is missing or has a wrong content; false where the file cannot be read at the
 * moment.
 */
const isDamage = (error: unknown): error is TensorError =>
  error instanceof FormatError ||
  (error instanceof TensorError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT');

/** Reads the record in the folder of a training checkpoint. */
export async function readRecord(folder: string): Promise<Checkpoint['record']> {
  const file = join(folder, recordName);
  return readObject(file);
}

/** The settings that a training checkpoint was written with. */
export function settingsOfRecord({ folder, record }: Pick<Checkpoint, 'folder' | 'record'>): Record<string, unknown> {
  const { settings } = record;
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings))
    throw new FormatError(
      `${join(folder, recordName)}: it does not say what the settings were; remove that checkpoint`,
    );
  return settings as Record<string, unknown>;
}

/**
 * Loads the state of a training checkpoint into the structure of a fresh state, and sets its numbers of steps.
 * @throws FormatError that lists every tensor that is missing, unexpected or of another shape
 */
export async function loadState<S extends object>({ folder, step }: Checkpoint, fresh: S, device?: Device): Promise<S> {
  await using reader = await openSafetensorsFile(join(folder, stateName));
  return withSteps(await loadParameters(fresh, reader, { device }), step);
}

/** A copy of a tree with all its numbers named `steps`, those of optimisers, replaced. */
function withSteps<T>(tree: T, steps: number): T {
  const update = (node: unknown, name: string): unknown => {
    if (name === 'steps' && typeof node === 'number') return steps;
    if (typeof node !== 'object' || node === null || node instanceof Tensor) return node;
    if (Array.isArray(node)) return node.map((one) => update(one, ''));
    return Object.fromEntries(Object.entries(node).map(([key, one]) => [key, update(one, key)]));
  };
  return update(tree, '') as T;
}

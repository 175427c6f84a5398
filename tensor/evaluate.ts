import type { Device, DeviceBuffer, Run } from './device.ts';
import { type StorageArray, toValues, type ValueArray } from './dtype.ts';
import { TensorError } from './errors.ts';
import { defaultDevice } from './openDevice.ts';
import { computedOn, giveUp, leaf, place, whileComputing } from './placement.ts';
import { rest } from './rest.ts';
import { checkUsable, describe, inputsOf, isNewTo, type Source, sourceOf, type Tensor, typeOf } from './tensor.ts';
import { inOrderOfCreation } from './tensorIds.ts';
import { flattenTree, mapTree, treeLeaves } from './tree.ts';

/** Options of `realize`. */
export interface RealizeOptions {
  /**
   * A tree of tensors to give up: the run may overwrite their buffers. Using one afterwards is an error, unless it is part of
   * the result itself.
   */
  readonly donate?: unknown;
  /** The device that computes. Default: the device of the leaves, else the default device. */
  readonly device?: Device;
}

/** True for tensors whose computation has not started; a tensor that is being computed counts as a leaf. */
const isPending = (tensor: Tensor): boolean => sourceOf(tensor).kind === 'pending' && computedOn(tensor) === undefined;

/** All tensors that some roots depend on, the roots included. */
interface Graph {
  /** Inputs before users. */
  readonly pending: readonly Tensor[];
  /** Tensors that have a value, or are being computed. */
  readonly leaves: readonly Tensor[];
}

let walks = 0;

/** Collects the graph of some roots; throws if it has a tensor that was given up. */
function traverse(roots: readonly Tensor[]): Graph {
  const walk = ++walks;
  const isNew = (tensor: Tensor): boolean => isNewTo(tensor, walk);
  const found = roots.filter(isNew);
  const pending: Tensor[] = [];
  const leaves: Tensor[] = [];
  for (let i = 0; i < found.length; i++) {
    const tensor = found[i] as Tensor;
    if (isPending(tensor)) {
      pending.push(tensor);
      for (const input of inputsOf(tensor)) if (isNew(input)) found.push(input);
    } else leaves.push(tensor);
  }
  const gone = leaves.find((tensor) => sourceOf(tensor).kind === 'gone');
  if (gone !== undefined) {
    const user = pending.find((tensor) => inputsOf(tensor).includes(gone));
    checkUsable(user === undefined ? 'realize' : `realize: ${describe(user)}`, gone);
  }
  // The order of creation puts inputs before users, and computes a backward pass from the last layer to the first, whichever
  // gradient is requested first, so that each cotangent lives as briefly as possible.
  return { pending: inOrderOfCreation(pending), leaves };
}

/** The requested device, else that of the leaves, else `undefined`; throws if two of these differ. */
function commonDevice(leaves: readonly Tensor[], requested: Device | undefined): Device | undefined {
  let found: { device: Device; leaf: Tensor } | undefined;
  for (const leaf of leaves) {
    const source = sourceOf(leaf);
    const own = source.kind === 'placed' ? source.device : computedOn(leaf);
    if (own === undefined) continue;
    found ??= { device: own, leaf };
    const device = requested ?? found.device;
    if (own !== device) {
      const other = requested === undefined ? `${describe(found.leaf)} is on another` : 'another was requested';
      throw new TensorError(
        `realize: ${describe(leaf)} is on one device ('${own.name}'), but ${other} ('${device.name}'); ` +
          'bring it over with `await copy(tensor, { device })`',
      );
    }
  }
  return requested ?? found?.device;
}

/** The device of the leaves that a tree depends on, or `undefined` if all are on the host. */
export const deviceOf = (tree: unknown): Device | undefined =>
  commonDevice(traverse(treeLeaves(tree)).leaves, undefined);

const queues = new WeakMap<Device, Promise<unknown>>();

/** The leaves that a device's current run reads, and those that were disposed of meanwhile. */
interface InUse {
  readonly leaves: readonly Tensor[];
  readonly disposed: { readonly path: string; readonly tensor: Tensor }[];
}

const inUse = new WeakMap<Device, InUse>();

/** Runs jobs on one device one after another, in the order of the calls. */
function enqueue<T>(device: Device, job: () => Promise<T>): Promise<T> {
  const result = (queues.get(device) ?? Promise.resolve()).then(job).finally(() => {
    const used = inUse.get(device);
    inUse.delete(device);
    for (const { path, tensor } of used?.disposed ?? []) disposeOf(path, tensor);
    return rest();
  });
  queues.set(
    device,
    result.catch(() => undefined),
  );
  return result;
}

function checkDType(device: Device, tensor: Tensor): void {
  if (!device.dtypes.has(tensor.dtype)) {
    throw new TensorError(
      `realize: the device '${device.name}' has no ${tensor.dtype}, which ${describe(tensor)} needs`,
    );
  }
}

/** Uploads the leaves that are on the host. */
function placeLeaves(device: Device, leaves: readonly Tensor[]): void {
  for (const tensor of leaves) {
    const source = sourceOf(tensor);
    if (source.kind === 'host') place(tensor, device, device.upload(tensor.dtype, source.storage));
  }
}

/**
 * Makes the run that computes the pending tensors among `roots`, and uploads its leaves; throws for dtypes that the device
 * does not have. `known` is the graph as it was when the run was requested; earlier runs may have computed parts of it.
 */
function runOf(
  device: Device,
  roots: readonly Tensor[],
  known: Graph,
  donated: ReadonlySet<DeviceBuffer> = new Set(),
): Run {
  const isThere = ({ kind }: Source): boolean => kind === 'host' || kind === 'placed';
  const isSame = known.pending.every(isPending) && known.leaves.every((leaf) => isThere(sourceOf(leaf)));
  const { pending, leaves } = isSame ? known : traverse(roots);
  commonDevice(leaves, device);
  for (const tensor of leaves) checkDType(device, tensor);
  for (const tensor of pending) checkDType(device, tensor);
  placeLeaves(device, leaves);
  inUse.set(device, { leaves, disposed: [] });
  return { order: pending, outputs: roots.filter(isPending), donated };
}

/** Graphs that `prepare` has read, by their first root, until `realize` takes them. */
const prepared = new WeakMap<Tensor, { readonly roots: readonly Tensor[]; readonly graph: Graph }>();

/** The graph of some roots, from `prepared` if it is there. */
function graphOf(roots: readonly Tensor[]): Graph {
  const [first] = roots;
  const known = first && prepared.get(first);
  if (first !== undefined) prepared.delete(first);
  const isKnown = known?.roots.length === roots.length && known.roots.every((root, i) => root === roots[i]);
  return isKnown ? known.graph : traverse(roots);
}

/**
 * Reads the graph of a tree that `realize` will compute once the tensors it depends on, which are being computed, have values.
 * This saves time in a loop that realizes one large graph in every step.
 */
export function prepare(tree: unknown): void {
  const roots = [...new Set(treeLeaves(tree))];
  const [first] = roots;
  if (first === undefined) return;
  const graph = traverse(roots);
  prepared.set(first, { roots, graph });
  commonDevice(graph.leaves, undefined)?.prepare?.({ order: graph.pending, outputs: roots.filter(isPending) });
}

/** Calls `job` with the run that would compute a tree, in turn with the runs of the device. */
export async function withRun<T>(
  tree: unknown,
  requested: Device | undefined,
  job: (device: Device, run: Run) => Promise<T>,
): Promise<T> {
  const roots = [...new Set(treeLeaves(tree))];
  const graph = traverse(roots);
  const device = commonDevice(graph.leaves, requested) ?? (await defaultDevice());
  return enqueue(device, async () => job(device, runOf(device, roots, graph)));
}

/**
 * Computes all tensors of a tree in one run, shared parts once, and resolves to the tree. Afterwards the tensors are leaves:
 * their values are on the device, and the graph behind them is released. Throws `TensorError` if leaves are on different
 * devices, and `DisposedError` if a tensor that is needed was given up.
 */
export async function realize<T>(tree: T, options: RealizeOptions = {}): Promise<T> {
  const roots = new Set(treeLeaves(tree));
  const donations = flattenTree(options.donate).filter(({ tensor }) => !roots.has(tensor));
  for (const { tensor } of donations) checkUsable('realize: donate', tensor);
  const graph = graphOf([...roots]);
  const device =
    commonDevice([...graph.leaves, ...donations.map(({ tensor }) => tensor)], options.device) ??
    (await defaultDevice());
  return enqueue(device, async () => {
    const donated = new Map<Tensor, string>();
    for (const { path, tensor } of donations) {
      checkUsable('realize: donate', tensor);
      if (!donated.has(tensor)) donated.set(tensor, path);
    }
    const buffers = new Set<DeviceBuffer>();
    for (const tensor of donated.keys()) {
      const source = sourceOf(tensor);
      if (source.kind === 'pending')
        throw new TensorError(
          `realize: donate: ${describe(tensor)} has not been realized, so there is nothing to give up`,
        );
      if (source.kind === 'placed') buffers.add(source.buffer);
    }
    const run = runOf(device, [...roots], graph, buffers);
    const results = await whileComputing(run.outputs, device, device.run(run));
    run.outputs.forEach((tensor, i) => {
      place(tensor, device, results[i] as DeviceBuffer);
    });
    for (const [tensor, path] of donated) {
      giveUp(tensor, `${nameOf(path)} was donated to realize()`);
    }
    return tree;
  });
}

const nameOf = (path: string): string => (path === '' ? 'it' : `'${path}'`);

/** A copy of a tensor's elements in row-major order, as they are stored: f16 and bf16 as bits. */
export async function readStorage(tensor: Tensor): Promise<StorageArray> {
  const early = sourceOf(tensor);
  if (early.kind === 'host') return early.storage.slice();
  const graph = traverse([tensor]);
  const device = commonDevice(graph.leaves, undefined) ?? (await defaultDevice());
  return enqueue(device, async () => {
    checkUsable('read', tensor);
    const source = sourceOf(tensor);
    if (source.kind === 'placed') return source.device.download(source.buffer);
    const [buffer] = (await device.run(runOf(device, [tensor], graph))) as [DeviceBuffer];
    const storage = await device.download(buffer);
    device.free(buffer);
    return storage;
  });
}

/**
 * A copy of a tensor's elements in row-major order, f16 and bf16 as f32. Computes a pending tensor but does not keep its value:
 * use `realize` for that.
 */
export const read = async (tensor: Tensor): Promise<ValueArray> => toValues(tensor.dtype, await readStorage(tensor));

/** The element of a tensor of size 1; throws `TensorError` for other sizes. */
export async function item(tensor: Tensor): Promise<number> {
  if (tensor.size !== 1)
    throw new TensorError(`item: ${typeOf(tensor)} has ${tensor.size} elements, not one; use read`);
  return (await read(tensor))[0] as number;
}

/** Elements in nested arrays, as booleans for bool; for a scalar, the element itself. */
export type NestedValues = number | boolean | NestedValues[];

/** A tensor's elements as nested arrays, one level for each dimension. */
export async function toNested(tensor: Tensor): Promise<NestedValues> {
  const values = await read(tensor);
  const nest = (axis: number, from: number, count: number): NestedValues => {
    if (axis === tensor.rank) return tensor.dtype === 'bool' ? values[from] === 1 : (values[from] as number);
    const size = tensor.shape[axis] as number;
    const step = size === 0 ? 0 : count / size;
    return Array.from({ length: size }, (_, i) => nest(axis + 1, from + i * step, step));
  };
  return nest(0, 0, tensor.size);
}

/**
 * Frees the buffers of a tree of tensors now (or at the end of the run that is reading them) instead of at a later garbage
 * collection. Using the tensors, or pending tensors that need them, is an error from then on. Disposing twice is allowed.
 */
export function dispose(tree: unknown): void {
  for (const { path, tensor } of flattenTree(tree)) {
    const source = sourceOf(tensor);
    const used = source.kind === 'placed' ? inUse.get(source.device) : undefined;
    if (used?.leaves.includes(tensor)) used.disposed.push({ path, tensor });
    else disposeOf(path, tensor);
  }
}

function disposeOf(path: string, tensor: Tensor): void {
  if (sourceOf(tensor).kind !== 'gone') giveUp(tensor, `${nameOf(path)} was disposed of`);
}

/** Copies a tree to independent leaves, on `device` or where the originals are. Donating one tree does not affect the other. */
export async function copy<T>(tree: T, { device }: { readonly device?: Device } = {}): Promise<T> {
  const originals = await Promise.all(
    flattenTree(tree).map(async ({ tensor }) => ({ tensor, storage: await readStorage(tensor) })),
  );
  let next = 0;
  return mapTree(tree, () => {
    const { tensor, storage } = originals[next++] as (typeof originals)[number];
    const source = sourceOf(tensor);
    return leaf(tensor.shape, tensor.dtype, storage, device ?? (source.kind === 'placed' ? source.device : undefined));
  });
}

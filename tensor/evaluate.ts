import type { Device, DeviceBuffer, Run } from './device.ts';
import { type StorageArray, toValues, type ValueArray } from './dtype.ts';
import { TensorError } from './errors.ts';
import { defaultDevice } from './openDevice.ts';
import { computedOn, giveUp, leaf, place, whileComputing } from './placement.ts';
import { rest } from './rest.ts';
import { checkUsable, describe, inputsOf, isNewTo, type Source, sourceOf, type Tensor, typeOf } from './tensor.ts';
import { inOrderOfCreation } from './tensorIds.ts';
import { flattenTree, mapTree, treeLeaves } from './tree.ts';

export interface RealizeOptions {
  /**
   * A tree whose leaves are given up: their buffers may be written over. Using one afterwards is an error, except for
   * those that are part of the result themselves.
   */
  readonly donate?: unknown;
  /** Where to compute. Default: where the leaves are, else the default device. */
  readonly device?: Device;
}

/** Whether a tensor is to be computed still; one that is being computed is a leaf. */
const isPending = (tensor: Tensor): boolean => sourceOf(tensor).kind === 'pending' && computedOn(tensor) === undefined;

/** What tensors are computed from, and from what in the end. */
interface Graph {
  /** Inputs before users. */
  readonly pending: readonly Tensor[];
  readonly leaves: readonly Tensor[];
}

let walks = 0;

/** Everything that the roots need; throws where something needed has been given up. */
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
  // In the order of creation, which puts inputs before users, a backward pass runs from the last layer to the first,
  // whichever gradient is asked for first: so each cotangent lives as short as it can.
  return { pending: inOrderOfCreation(pending), leaves };
}

/** The device that a graph is bound to: the one asked for, else that of its leaves; throws where they differ. */
function commonDevice(leaves: readonly Tensor[], asked: Device | undefined): Device | undefined {
  let found: { device: Device; leaf: Tensor } | undefined;
  for (const leaf of leaves) {
    const source = sourceOf(leaf);
    const its = source.kind === 'placed' ? source.device : computedOn(leaf);
    if (its === undefined) continue;
    found ??= { device: its, leaf };
    const device = asked ?? found.device;
    if (its !== device) {
      const other = asked === undefined ? `${describe(found.leaf)} is on another` : 'another was asked for';
      throw new TensorError(
        `realize: ${describe(leaf)} is on one device ('${its.name}'), but ${other} ('${device.name}'); ` +
          'bring it over with `await copy(tensor, { device })`',
      );
    }
  }
  return asked ?? found?.device;
}

/** The device that the leaves of a tree's graphs are on, if any is on one. */
export const deviceOf = (tree: unknown): Device | undefined =>
  commonDevice(traverse(treeLeaves(tree)).leaves, undefined);

const queues = new WeakMap<Device, Promise<unknown>>();

/** What a device's present run reads, and what has been disposed of meanwhile. */
interface InUse {
  readonly leaves: readonly Tensor[];
  readonly disposed: { readonly path: string; readonly tensor: Tensor }[];
}

const inUse = new WeakMap<Device, InUse>();

/** Runs jobs on one device in the order in which they were asked for. */
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

/** Brings leaves from the host to the device. */
function placeLeaves(device: Device, leaves: readonly Tensor[]): void {
  for (const tensor of leaves) {
    const source = sourceOf(tensor);
    if (source.kind === 'host') place(tensor, device, device.upload(tensor.dtype, source.storage));
  }
}

/**
 * A run of what is pending of `roots`, its leaves brought to the device; throws for dtypes that it does not have.
 * `known` is their graph as it was when the run was asked for; runs before this one may have computed parts of it.
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

/** Graphs that were looked at before the run that they are for, by one of their roots; that run takes them out. */
const prepared = new WeakMap<Tensor, { readonly roots: readonly Tensor[]; readonly graph: Graph }>();

/** The graph of roots, which may have been looked at already. */
function graphOf(roots: readonly Tensor[]): Graph {
  const [first] = roots;
  const known = first && prepared.get(first);
  if (first !== undefined) prepared.delete(first);
  const isKnown = known?.roots.length === roots.length && known.roots.every((root, i) => root === roots[i]);
  return isKnown ? known.graph : traverse(roots);
}

/**
 * Reads the graph of a tree that `realize` will be asked for when what it is built on, which is being computed, is there.
 * Worth its while where every step of a loop realizes one large graph.
 */
export function prepare(tree: unknown): void {
  const roots = [...new Set(treeLeaves(tree))];
  const [first] = roots;
  if (first === undefined) return;
  const graph = traverse(roots);
  prepared.set(first, { roots, graph });
  commonDevice(graph.leaves, undefined)?.prepare?.({ order: graph.pending, outputs: roots.filter(isPending) });
}

/** Hands the run that would compute a tree to `job`, in its turn among the runs of the device. */
export async function withRun<T>(
  tree: unknown,
  asked: Device | undefined,
  job: (device: Device, run: Run) => Promise<T>,
): Promise<T> {
  const roots = [...new Set(treeLeaves(tree))];
  const graph = traverse(roots);
  const device = commonDevice(graph.leaves, asked) ?? (await defaultDevice());
  return enqueue(device, async () => job(device, runOf(device, roots, graph)));
}

/**
 * Computes every tensor of a tree in one run, what they share once, and resolves to the tree. Afterwards they are
 * leaves: their values are on the device and the graph behind them is let go.
 */
export async function realize<T>(tree: T, options: RealizeOptions = {}): Promise<T> {
  const roots = new Set(treeLeaves(tree));
  const given = flattenTree(options.donate).filter(({ tensor }) => !roots.has(tensor));
  for (const { tensor } of given) checkUsable('realize: donate', tensor);
  const graph = graphOf([...roots]);
  const device =
    commonDevice([...graph.leaves, ...given.map(({ tensor }) => tensor)], options.device) ?? (await defaultDevice());
  return enqueue(device, async () => {
    const donated = new Map<Tensor, string>();
    for (const { path, tensor } of given) {
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

/** A tensor's elements in the form in which they are stored: halves as bits. Always a copy. */
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

/** A tensor's elements in row-major order, halves as f32. What was computed for this is not kept: see `realize`. */
export const read = async (tensor: Tensor): Promise<ValueArray> => toValues(tensor.dtype, await readStorage(tensor));

/** The one element of a tensor that has one. */
export async function item(tensor: Tensor): Promise<number> {
  if (tensor.size !== 1)
    throw new TensorError(`item: ${typeOf(tensor)} has ${tensor.size} elements, not one; use read`);
  return (await read(tensor))[0] as number;
}

/** Elements in nested arrays, truth values for bool; a scalar gives the bare value. */
export type NestedValues = number | boolean | NestedValues[];

/** A tensor's elements as nested arrays. */
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
 * Frees the buffers of a tree of tensors now instead of at some later garbage collection, or when the run is over that
 * reads them. Using them, or a pending tensor that needs them, is an error from then on. Disposing twice is allowed.
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

/** Independent leaves with the same values, on the given device or where they are: donating one tree leaves the other alone. */
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

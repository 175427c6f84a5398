import {
  type Device,
  type DeviceKind,
  flattenTree,
  openDevice,
  type RealizeOptions,
  read,
  realize,
} from 'diffusion-dpo/tensor';

/** Opens a device by its kind, for WebAssembly optionally with a number of threads: `webgpu`, `wasm2`. */
export function openNamed(name: string): Promise<Device> {
  const [, kind = '', threads = ''] = /^([a-z]+)(\d*)$/.exec(name) ?? [];
  return openDevice(kind as DeviceKind, threads === '' ? {} : { threads: Number(threads) });
}

/** Realizes a tree and waits for the GPU, which may still compute after `realize`, by reading the smallest tensor. */
export async function finish<T>(tree: T, options: RealizeOptions = {}): Promise<T> {
  const realized = await realize(tree, options);
  const [smallest] = flattenTree(realized).toSorted((a, b) => a.tensor.size - b.tensor.size);
  if (smallest !== undefined) await read(smallest.tensor);
  return realized;
}

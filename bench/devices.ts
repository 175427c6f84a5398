import { type Device, type DeviceKind, openDevice } from 'diffusion-dpo/tensor';

/** Opens a device by the name that benchmarks give it: its kind, for WebAssembly with a number of threads, such as `wasm2`. */
export function openNamed(name: string): Promise<Device> {
  const [, kind = '', threads = ''] = /^([a-z]+)(\d*)$/.exec(name) ?? [];
  return openDevice(kind as DeviceKind, threads === '' ? {} : { threads: Number(threads) });
}

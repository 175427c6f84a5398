import type { Device } from './device.ts';
import { TensorError } from './errors.ts';
import { ReferenceDevice } from './reference/device.ts';

/** `auto` is the fastest that can be had here. */
export type DeviceKind = 'auto' | 'wasm' | 'webgpu' | 'reference';

export interface DeviceOptions {
  /** Threads of the WebAssembly executor. Default: `DIFFUSION_DPO_THREADS`, else one for each core. */
  readonly threads?: number;
  /** How many compiled plans WebAssembly and WebGPU keep, those used last; default 256. */
  readonly plans?: number;
}

/** Opens a device of the given kind. */
export async function openDevice(kind: DeviceKind, options: DeviceOptions = {}): Promise<Device> {
  switch (kind) {
    case 'reference':
      return new ReferenceDevice();
    case 'webgpu':
      return (await import('./webgpu/device.ts')).WebGpuDevice.open(options);
    case 'auto':
      return (await (await import('./webgpu/auto.ts')).openTestedGpu(options)) ?? openDevice('wasm', options);
    case 'wasm':
      // Loaded only where it is used: the compiler is most of the library.
      return (await import('./wasm/device.ts')).WasmDevice.open(options);
    default:
      throw new TensorError(
        `openDevice: there is no device kind '${String(kind)}'; the kinds are: auto, wasm, webgpu, reference`,
      );
  }
}

let current: Promise<Device> | undefined;

/** The device for graphs whose leaves are on none: what `auto` opens, unless `setDefaultDevice` chose another. */
export function defaultDevice(): Promise<Device> {
  current ??= openDevice('auto');
  return current;
}

/** Chooses the device for graphs whose leaves are on none. Tensors that are on a device stay there. */
export function setDefaultDevice(device: Device): void {
  current = Promise.resolve(device);
}

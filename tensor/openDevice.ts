import type { Device } from './device.ts';
import { TensorError } from './errors.ts';
import { ReferenceDevice } from './reference/device.ts';

/** `auto` is the fastest device that works here. */
export type DeviceKind = 'auto' | 'wasm' | 'webgpu' | 'reference';

/** Options of `openDevice`. */
export interface DeviceOptions {
  /** Number of threads of the WebAssembly executor. Default: the environment variable `DIFFUSION_DPO_THREADS`, else one per core. */
  readonly threads?: number;
  /** Capacity of the plan cache of WebAssembly and WebGPU, in plans; the least recently used is evicted. Default 256. */
  readonly plans?: number;
  /**
   * Limits of WebGPU: as far as the adapter goes, which is the default, or WebGPU's own defaults (buffers of 256 MiB, bindings of
   * 128 MiB), to see on any adapter whether a program would run on every one.
   */
  readonly limits?: 'adapter' | 'default';
}

/** Opens a device of the given kind; throws `TensorError` for kinds that do not exist, or do not work here. */
export async function openDevice(kind: DeviceKind, options: DeviceOptions = {}): Promise<Device> {
  switch (kind) {
    case 'reference':
      return new ReferenceDevice();
    case 'webgpu':
      return (await import('./webgpu/device.ts')).WebGpuDevice.open(options);
    case 'auto':
      return (await (await import('./webgpu/auto.ts')).openTestedGpu(options)) ?? openDevice('wasm', options);
    case 'wasm':
      // Imported on demand, because the compiler is most of the library.
      return (await import('./wasm/device.ts')).WasmDevice.open(options);
    default:
      throw new TensorError(
        `openDevice: there is no device kind '${String(kind)}'; the kinds are: auto, wasm, webgpu, reference`,
      );
  }
}

let current: Promise<Device> | undefined;

/** The device for graphs whose leaves are all on the host: the one of `setDefaultDevice`, else what `auto` opens. */
export function defaultDevice(): Promise<Device> {
  current ??= openDevice('auto');
  return current;
}

/** Sets the device for graphs whose leaves are all on the host. Tensors that are on a device stay there. */
export function setDefaultDevice(device: Device): void {
  current = Promise.resolve(device);
}

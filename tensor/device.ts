import type { DType, StorageArray } from './dtype.ts';
import { TensorError } from './errors.ts';
import type { DevicePlanReport } from './explain.ts';
import { ReferenceDevice } from './reference/device.ts';
import type { Tensor } from './tensor.ts';

/** A value on a device. Only its device can look inside. */
export interface DeviceBuffer {
  readonly byteLength: number;
}

/** What a device holds now, and the most that it has held since `resetPeak`. */
export interface MemoryUse {
  readonly bytes: number;
  readonly buffers: number;
  readonly peakBytes: number;
  readonly peakBuffers: number;
}

/** One piece of work: compute `outputs` from leaves that are all on this device. */
export interface Run {
  /** Every pending tensor that is needed, inputs before users. */
  readonly order: readonly Tensor[];
  /** Distinct pending tensors; each gets a buffer of its own. */
  readonly outputs: readonly Tensor[];
  /** Leaf buffers that the run may write over or free as soon as their last reader has run; all are gone afterwards. */
  readonly donated: ReadonlySet<DeviceBuffer>;
}

/** An executor with its memory. Runs on one device happen in the order in which they were asked for. */
export interface Device {
  readonly name: string;
  /** What it is, in a line for people. */
  readonly description: string;
  /** The dtypes that it can hold and compute with. */
  readonly dtypes: ReadonlySet<DType>;
  /** What it offers beyond what all of its kind do, and its limits in bytes or numbers, where it tells. */
  readonly abilities?: { readonly features: readonly string[]; readonly limits: Readonly<Record<string, number>> };
  /** Copies storage to the device. */
  upload(dtype: DType, storage: StorageArray): DeviceBuffer;
  /** Does what of a run can be done before its leaves are there; the run itself, of the same `order`, is then shorter. */
  prepare?(run: Pick<Run, 'order' | 'outputs'>): void;
  /** Computes; a buffer for each output, in order. When it rejects, donated buffers may be lost, others not. */
  run(run: Run): Promise<readonly DeviceBuffer[]>;
  /** The kernels of a run; with `timed`, runs it and throws the results away. Devices without plans have none. */
  plan?(run: Run, timed: boolean): Promise<DevicePlanReport>;
  /** A copy of what the buffer holds. */
  download(buffer: DeviceBuffer): Promise<StorageArray>;
  /** The buffer's elements, where they can be seen at once without waiting; for printing. */
  peek(buffer: DeviceBuffer): StorageArray | undefined;
  free(buffer: DeviceBuffer): void;
  memory(): MemoryUse;
  /** Makes the present use the peak. */
  resetPeak(): void;
  /** Gives everything back at once: threads, or a GPU's memory. Computing here is an error from then on. */
  close?(): void;
}

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

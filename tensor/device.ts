import type { DType, StorageArray } from './dtype.ts';
import type { Tensor } from './tensor.ts';

/** The elements of a tensor in a device's memory. Only that device can read them. */
export interface DeviceBuffer {
  readonly byteLength: number;
}

/** The memory that a device holds now, and the most that it has held since `resetPeak`. */
export interface MemoryUse {
  readonly bytes: number;
  readonly buffers: number;
  readonly peakBytes: number;
  readonly peakBuffers: number;
}

/** A request to compute `outputs` from leaves that are all on one device. */
export interface Run {
  /** All pending tensors to compute, inputs before users. */
  readonly order: readonly Tensor[];
  /** Distinct tensors of `order`; each gets a buffer of its own. */
  readonly outputs: readonly Tensor[];
  /** Buffers of leaves that the run may overwrite. The caller does not use them afterwards, and frees them. */
  readonly donated: ReadonlySet<DeviceBuffer>;
}

/** One kernel in the report of a plan. */
export interface KernelReport {
  /** Its operators, in order. */
  readonly description: string;
  /** The types of the values that it writes, such as `f32[8, 64]`. */
  readonly writes: readonly string[];
  /** Bytes that it reads and writes, each buffer counted once. */
  readonly bytes: number;
  /** Arithmetic operations: a multiply-add counts as two, an exponential as one. */
  readonly flops: number;
  /** How long it took; only in a profile. */
  readonly milliseconds?: number;
}

/** The plan by which a device computes a tree. */
export interface PlanReport {
  readonly device: string;
  readonly kernels: readonly KernelReport[];
  /** Bytes of intermediate values, without leaves and results. */
  readonly workingBytes: number;
  /** The most bytes that are held at once, if no leaf is donated: leaves, results and intermediate values. */
  readonly peakBytes: number;
}

/** A device's report of one run, without the memory of leaves and results, which the caller adds. */
export type DevicePlanReport = Omit<PlanReport, 'peakBytes'>;

/** An executor with its memory. It executes runs in the order in which they are requested. */
export interface Device {
  readonly name: string;
  /** The device in one line, for people to read. */
  readonly description: string;
  /** The dtypes that the device can store and compute with. */
  readonly dtypes: ReadonlySet<DType>;
  /** Optional features that the device has, and its limits by name (in bytes or counts), if it reports them. */
  readonly abilities?: { readonly features: readonly string[]; readonly limits: Readonly<Record<string, number>> };
  /** Copies elements to the device. */
  upload(dtype: DType, storage: StorageArray): DeviceBuffer;
  /** Reads a run's graph before its leaves exist, so that the run itself (with the same `order`) starts sooner. */
  prepare?(run: Pick<Run, 'order' | 'outputs'>): void;
  /** Computes the outputs and resolves to their buffers, in order. If it rejects, donated buffers may be lost, others not. */
  run(run: Run): Promise<readonly DeviceBuffer[]>;
  /** Reports the kernels of a run. With `timed`, executes the run, measures each kernel, and discards the results. */
  plan?(run: Run, timed: boolean): Promise<DevicePlanReport>;
  /** Copies a buffer's elements to the host. */
  download(buffer: DeviceBuffer): Promise<StorageArray>;
  /** A buffer's elements for printing, or `undefined` if reading them takes a wait. */
  peek(buffer: DeviceBuffer): StorageArray | undefined;
  free(buffer: DeviceBuffer): void;
  memory(): MemoryUse;
  /** Makes the present use the peak. */
  resetPeak(): void;
  /** Ends the device's threads or frees its GPU memory at once. Using the device is an error from then on. */
  close?(): void;
}

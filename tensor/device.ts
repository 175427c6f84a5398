import type { DType, StorageArray } from './dtype.ts';
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

/** One kernel of a plan. */
export interface KernelReport {
  /** The operators that it runs, in order. */
  readonly description: string;
  /** Types of what it writes, such as `f32[8, 64]`. */
  readonly writes: readonly string[];
  /** What it reads and writes, each buffer once. */
  readonly bytes: number;
  /** Arithmetic operations; a multiply-add is two, an exponential is one. */
  readonly flops: number;
  /** Only in a profile: how long it took. */
  readonly milliseconds?: number;
}

/** What a device does to compute a tree. */
export interface PlanReport {
  readonly device: string;
  readonly kernels: readonly KernelReport[];
  /** Memory for intermediate values. Leaves and results come on top. */
  readonly workingBytes: number;
  /** The most that is held at once: leaves, results and intermediate values, if no leaf is given up. */
  readonly peakBytes: number;
}

/** What a device tells of a run; what it starts from and ends with is counted for it. */
export type DevicePlanReport = Omit<PlanReport, 'peakBytes'>;

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
  /** Reads a run's graph before its leaves exist, so that the run itself, of the same `order`, starts sooner. */
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

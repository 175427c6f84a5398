import type { DeviceBuffer } from '../../device.ts';
import type { DType } from '../../dtype.ts';
import { TensorError } from '../../errors.ts';
import { deviceBytes } from './transfers.ts';

/** Elements in the memory of the device. */
export class WebGpuBuffer implements DeviceBuffer {
  readonly dtype: DType;
  readonly size: number;
  readonly byteLength: number;
  readonly buffer: GPUBuffer;
  freed = false;

  constructor(dtype: DType, size: number, buffer: GPUBuffer) {
    this.dtype = dtype;
    this.size = size;
    this.byteLength = deviceBytes(dtype, size);
    this.buffer = buffer;
  }
}

/** A buffer of this executor. */
export function ours(buffer: DeviceBuffer): WebGpuBuffer {
  if (buffer instanceof WebGpuBuffer) return buffer;
  throw new TensorError('webgpu: this buffer belongs to another device');
}

/** A buffer that still holds something. */
export function own(buffer: DeviceBuffer): WebGpuBuffer {
  const held = ours(buffer);
  if (!held.freed) return held;
  throw new TensorError('webgpu: this buffer was given to a run that failed, and is lost');
}

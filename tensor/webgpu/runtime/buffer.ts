import type { DeviceBuffer } from '../../device.ts';
import type { DType } from '../../dtype.ts';
import { TensorError } from '../../errors.ts';
import { deviceBytes } from './transfers.ts';

/** Elements in the memory of a device. */
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

/** A device buffer as one of WebGPU; throws for buffers of other executors. */
export function webGpuBuffer(buffer: DeviceBuffer): WebGpuBuffer {
  if (buffer instanceof WebGpuBuffer) return buffer;
  throw new TensorError('webgpu: this buffer belongs to another device');
}

/** The same, and throws if a failed run has overwritten its elements. */
export function intactBuffer(buffer: DeviceBuffer): WebGpuBuffer {
  const held = webGpuBuffer(buffer);
  if (!held.freed) return held;
  throw new TensorError('webgpu: this buffer was donated to a run that failed, and its elements are lost');
}

import type { Device, DeviceBuffer } from './device.ts';
import type { DType, StorageArray } from './dtype.ts';
import type { Shape } from './shape.ts';
import { settle, sourceOf, Tensor } from './tensor.ts';

/** Frees the buffers of leaves that were garbage collected. Only a safety net: it does not run during a busy loop. */
const abandoned = new FinalizationRegistry<{ device: Device; buffer: DeviceBuffer }>(({ device, buffer }) => {
  device.free(buffer);
});

/** Makes a tensor a leaf whose elements are in a buffer of a device. */
export function place(tensor: Tensor, device: Device, buffer: DeviceBuffer): void {
  settle(tensor, { kind: 'placed', device, buffer });
  abandoned.register(tensor, { device, buffer }, tensor);
}

const computing = new Map<Tensor, Device>();

/** Awaits the run in which a device computes `tensors`. Until it ends, graphs treat them as leaves of that device. */
export async function whileComputing<T>(tensors: readonly Tensor[], device: Device, running: Promise<T>): Promise<T> {
  for (const tensor of tensors) computing.set(tensor, device);
  try {
    return await running;
  } finally {
    for (const tensor of tensors) computing.delete(tensor);
  }
}

/** The device that is computing a tensor, if one is. */
export const computedOn = (tensor: Tensor): Device | undefined =>
  computing.size === 0 ? undefined : computing.get(tensor);

/** Makes a tensor unusable and frees its buffer, if it has one. */
export function giveUp(tensor: Tensor, why: string): void {
  const source = sourceOf(tensor);
  abandoned.unregister(tensor);
  settle(tensor, { kind: 'gone', why });
  if (source.kind === 'placed') source.device.free(source.buffer);
}

/** A leaf with the given elements: uploaded to `device`, or kept on the host (not copied) until a graph that uses it runs. */
export function leaf(shape: Shape, dtype: DType, storage: StorageArray, device?: Device): Tensor {
  const tensor = new Tensor(shape, dtype, { kind: 'host', storage });
  if (device !== undefined) place(tensor, device, device.upload(dtype, storage));
  return tensor;
}

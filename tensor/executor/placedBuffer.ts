import type { DeviceBuffer } from '../device.ts';
import { TensorError } from '../errors.ts';
import { sourceOf, type Tensor } from '../tensor.ts';

/** The buffer of a leaf. `device` is a device's name, for the error where the leaf is still on the host. */
export function placedBuffer(device: string, leaf: Tensor): DeviceBuffer {
  const source = sourceOf(leaf);
  if (source.kind === 'placed') return source.buffer;
  throw new TensorError(`${device}: tensor #${leaf.id} is not on the device`);
}

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import {
  add,
  type Device,
  type DeviceBuffer,
  dispose,
  openDevice,
  prepare,
  read,
  realize,
  type Tensor,
  tensor,
} from '../../tensor/index.ts';
import { WatchedDevice } from './conformance/wrapped.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage until a condition holds; finalizers run between turns of the event loop. */
const eventually = (condition: () => void): Promise<void> =>
  vi.waitFor(
    () => {
      collect();
      condition();
    },
    { timeout: 10_000, interval: 20 },
  );

/** A separate function, so that no reference stays on the stack. */
async function abandonLeaves(device: Device, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await read(add(tensor([i], { device }), 1));
}

test('buffers of unreachable leaves are freed', async () => {
  const device = await openDevice('reference');
  await abandonLeaves(device, 20);
  await eventually(() => expect(device.memory()).toMatchObject({ bytes: 0, buffers: 0 }));
});

class CountingDevice extends WatchedDevice {
  freed = 0;

  override free(buffer: DeviceBuffer): void {
    this.freed++;
    super.free(buffer);
  }
}

test('collecting a disposed tensor does not free it again', async () => {
  const device = new CountingDevice(await openDevice('reference'), 'counting');
  const kept = tensor([1], { device });
  await (async () => {
    for (let i = 0; i < 20; i++) dispose(tensor([i], { device }));
  })();
  for (let i = 0; i < 10; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(device.freed).toBe(20);
  expect(device.memory()).toMatchObject({ bytes: 4, buffers: 1 });
  dispose(kept);
});

async function realizeOver(device: Device): Promise<{ result: Tensor; input: WeakRef<Tensor> }> {
  const input = tensor([1], { device });
  const result = await realize(add(add(input, 1), 1));
  return { result, input: new WeakRef(input) };
}

test('a realized tensor drops the graph behind it', async () => {
  const device = await openDevice('reference');
  const { result, input } = await realizeOver(device);
  // Compared outside of `expect`, whose failure would keep a reference to the tensor.
  await eventually(() => expect(input.deref() === undefined).toBe(true));
  expect(Array.from(await read(result))).toEqual([3]);
});

test('a prepared graph is dropped when it is realized', async () => {
  const device = await openDevice('reference');
  const kept = await (async () => {
    const next = add(tensor([1], { device }), 1);
    prepare(next);
    return realize(next);
  })();
  await eventually(() => expect(device.memory().buffers).toBe(1));
  dispose(kept);
});

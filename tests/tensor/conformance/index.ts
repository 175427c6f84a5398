import { afterAll, beforeAll, describe } from 'vitest';
import { type Device, defaultDevice, setDefaultDevice } from '../../../tensor/index.ts';
import { accuracy } from './accuracy.ts';
import { activations } from './activations.ts';
import { binary } from './binary.ts';
import { conv } from './conv.ts';
import { creation } from './creation.ts';
import { distributions } from './distributions.ts';
import { donation } from './donation.ts';
import { einsum } from './einsum.ts';
import { evaluation } from './evaluation.ts';
import { halves } from './halves.ts';
import { independence } from './independence.ts';
import { indexing } from './indexing.ts';
import { integers } from './integers.ts';
import { layers } from './layers.ts';
import { matmul } from './matmul.ts';
import { movement } from './movement.ts';
import { randomness } from './random.ts';
import { reductions, scans } from './reductions.ts';
import { slicing } from './slicing.ts';
import { spatial } from './spatial.ts';
import { specials } from './specials.ts';
import { alone, type DeviceOf } from './support.ts';
import { unary } from './unary.ts';

/** The conformance suites, which every executor must pass. */
export const suites: Readonly<Record<string, (device: DeviceOf) => void>> = {
  'elementwise, one input': unary,
  'elementwise, more inputs': binary,
  halves,
  integers,
  'special values': specials,
  reductions,
  scans,
  movement,
  slicing,
  indexing,
  matmul,
  einsum,
  conv,
  spatial,
  activations,
  layers,
  accuracy,
  creation,
  evaluation,
  donation,
  independence,
  randomness,
  distributions,
};

/**
 * Registers every suite on a kind of device. Each suite opens its own device, so that memory can be counted, and makes it
 * the default; no other executor may compute meanwhile.
 */
export function conformance(
  kind: string,
  open: () => Promise<Device>,
  chosen: readonly string[] = Object.keys(suites),
): void {
  for (const name of chosen) {
    describe(`${kind}: ${name}`, () => {
      let device: Device | undefined;
      let former: Device | undefined;
      let release: (() => void) | undefined;
      beforeAll(async () => {
        device = await open();
        former = await defaultDevice();
        setDefaultDevice(device);
        release = alone(device);
      });
      afterAll(() => {
        release?.();
        if (former !== undefined) setDefaultDevice(former);
      });
      suites[name]?.(() => {
        if (device === undefined) throw new Error('the device is opened before the tests run');
        return device;
      });
    });
  }
}

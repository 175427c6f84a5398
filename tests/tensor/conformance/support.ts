import fc from 'fast-check';
import { expect, vi } from 'vitest';
import {
  type Device,
  type DType,
  defaultDevice,
  isFloat,
  isInteger,
  read,
  type Tensor,
  tensor,
} from '../../../tensor/index.ts';
import { ReferenceDevice } from '../../../tensor/reference/device.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';
import { WebGpuDevice } from '../../../tensor/webgpu/device.ts';
import { entry, type FloatName, generator, type Nd, product, round, ulp } from './naive.ts';

/** A suite gets its device when its tests run, because opening it is asynchronous. */
export type DeviceOf = () => Device;

/** The executors, by the names of their devices. */
const executors = { reference: ReferenceDevice, wasm: WasmDevice, webgpu: WebGpuDevice };

/**
 * Makes all executors but that of a device refuse to compute, until the returned function is called: no executor may use
 * another. The layer test checks that they share no code.
 */
export function alone({ name }: Device): () => void {
  const others = Object.entries(executors).filter(([other]) => other !== name);
  const spies = others.map(([other, { prototype }]) =>
    vi.spyOn(prototype, 'run').mockRejectedValue(new Error(`${other} was called while ${name} was to compute alone`)),
  );
  return () => {
    for (const spy of spies) spy.mockRestore();
  };
}

export const floats: readonly FloatName[] = ['f64', 'f32', 'f16', 'bf16'];
export const numeric: readonly DType[] = [...floats, 'i32', 'u32'];
export const every: readonly DType[] = [...numeric, 'bool'];

/** The dtypes of `list` that the device has. */
export const had = <D extends DType>(device: Device, list: readonly D[]): D[] =>
  list.filter((dtype) => device.dtypes.has(dtype));

/** f64 where the device has it, so that results need no rounding; else f32. */
export const widest = (device: Device): 'f64' | 'f32' => (device.dtypes.has('f64') ? 'f64' : 'f32');

/**
 * The error allowed for a transcendental function or a few operators in a row, in units in the last place. The reference
 * executor rounds results of V8's functions, which are within 1 ulp in f64; others compute in f32.
 */
export const slack = (device: Device, dtype: DType): number =>
  dtype === 'f64' || dtype === 'f16' || dtype === 'bf16' ? 2 : device.name === 'reference' ? 1 : 4;

/** A number as a dtype stores it: floats rounded (halves through f32, as documented), integers wrapped. */
export function stored(dtype: DType, value: number): number {
  if (dtype === 'i32') return value | 0;
  if (dtype === 'u32') return value >>> 0;
  if (dtype === 'bool') return value === 0 ? 0 : 1;
  return dtype === 'f64' || dtype === 'f32' ? round(dtype, value) : round(dtype, Math.fround(value));
}

/** A leaf with the elements of a naive array. */
export const upload = (x: Nd, dtype: DType): Tensor => tensor([...x.data], { shape: x.shape, dtype });

/**
 * The elements of a tensor, computed on the device: `conformance` makes it the default, and the tests' leaves are on it or
 * on the host.
 */
export async function compute(device: Device, x: Tensor): Promise<number[]> {
  if ((await defaultDevice()) !== device) throw new Error('test bug: the device under test is not the default');
  return Array.from(await read(x));
}

/** Throws unless two numbers differ by at most `ulps` units in the last place of `dtype` plus an absolute bound. */
export function expectNear(actual: number, expected: number, dtype: DType, ulps: number, absolute = 0): void {
  if (Object.is(actual, expected) || actual === expected) return;
  const unit = isFloat(dtype) ? ulp(dtype, expected) : 0;
  const allowed = ulps * unit + absolute;
  if (Math.abs(actual - expected) <= allowed) return;
  expect.fail(`${actual} is not within ${allowed} (${ulps} ulp + ${absolute}) of ${expected} in ${dtype}`);
}

export interface Closeness {
  /** Default 0: equal. */
  readonly ulps?: number;
  /** Default 0; may depend on the element. */
  readonly absolute?: number | ((i: number) => number);
}

/** Computes `actual` on the device and compares shape, dtype and every element. Zeros of both signs are equal here. */
export async function expectNd(
  device: Device,
  actual: Tensor,
  expected: Nd,
  dtype: DType,
  { ulps = 0, absolute = 0 }: Closeness = {},
): Promise<void> {
  expect(actual.dtype).toBe(dtype);
  expect(actual.shape).toEqual(expected.shape);
  const values = await compute(device, actual);
  expect(values.length).toBe(expected.data.length);
  values.forEach((value, i) => {
    const bound = typeof absolute === 'number' ? absolute : absolute(i);
    expectNear(value, entry(expected.data, i), dtype, ulps, bound);
  });
}

/** Sizes that tend to go wrong: 0, 1 and small primes. */
export const sizes = fc.oneof(
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constant(1) },
  { weight: 6, arbitrary: fc.constantFrom(2, 3, 5, 7) },
);

export const shapes = (maxRank = 4, minRank = 0): fc.Arbitrary<number[]> =>
  fc.array(sizes, { minLength: minRank, maxLength: maxRank }).filter((shape) => product(shape) <= 400);

export const seeds = fc.nat({ max: 2 ** 31 });

/** A value that `dtype` holds exactly: floats of many magnitudes up to 32, integers of all sizes, 0 and 1 for bool. */
export function sample(dtype: DType, random: () => number): number {
  const u = random();
  if (dtype === 'bool') return u < 0.5 ? 0 : 1;
  if (isInteger(dtype)) {
    const magnitude = 2 ** Math.floor(random() * 33);
    const value = Math.floor(u * magnitude);
    return dtype === 'u32' ? value : value > 2 ** 31 - 1 ? value - 2 ** 32 : random() < 0.5 ? 0 - value : value;
  }
  return stored(dtype, (u - 0.5) * 2 ** Math.floor(random() * 10 - 3));
}

export function filled(shape: readonly number[], seed: number, dtype: DType): Nd {
  const random = generator(seed);
  return { shape, data: Array.from({ length: product(shape) }, () => sample(dtype, random)) };
}

/** Small whole numbers: their sums and products are exact in every numeric dtype but the halves. */
export function whole(shape: readonly number[], seed: number, from = -4, to = 4): Nd {
  const random = generator(seed);
  return { shape, data: Array.from({ length: product(shape) }, () => from + Math.floor(random() * (to - from + 1))) };
}

/** A property over arbitrary inputs; fewer runs where one is expensive, as on WebGPU, whose shaders take long to compile. */
export async function holds<T extends [unknown, ...unknown[]]>(
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  f: (...values: T) => Promise<void>,
  runs = 40,
): Promise<void> {
  const { name } = await defaultDevice();
  await fc.assert(
    fc.asyncProperty(fc.tuple(...arbitraries) as unknown as fc.Arbitrary<T>, (values) => f(...values)),
    { numRuns: name === 'webgpu' ? Math.ceil(runs / 2) : runs },
  );
}

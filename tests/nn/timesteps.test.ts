import { timestepEmbedding, timestepMlp } from 'diffusion-dpo/nn';
import {
  deviceOf,
  flattenTree,
  item,
  key,
  matmul,
  openDevice,
  random,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

const [device, wasm] = [await openDevice('reference'), await openDevice('wasm')];
setDefaultDevice(device);

const f64 = { dtype: 'f64' } as const;
const distance = (a: Tensor, b: Tensor): Promise<number> => item(a.sub(b).abs().max());

describe('timestepEmbedding', () => {
  const whole = [0, 1, 2, 10, 77, 500, 993, 999, 4095];
  // Between whole numbers, as samplers with continuous noise levels ask for; all of them are numbers in f32.
  const between = [0.5, 1.25, 123.45600128173828, 951.03125, 998.9998779296875, 4000.699951171875];

  test('numbers are exact in f64', async () => {
    const values = await read(timestepEmbedding([999], 6, { flipSinToCos: true, downscaleFreqShift: 0, ...f64 }));
    const angles = [0, 1, 2].map((i) => 999 * Math.exp((-Math.log(10000) * i) / 3));
    [...angles.map(Math.cos), ...angles.map(Math.sin)].forEach((expected, i) => {
      expect(values[i]).toBeCloseTo(expected, 11);
    });
  });

  test('takes one number, a scale of the angles and the longest period', async () => {
    const values = await read(timestepEmbedding(0.5, 4, { downscaleFreqShift: 0, maxPeriod: 16, scale: 100, ...f64 }));
    // 100·0.5·16^(−i/2)
    const expected = [Math.sin(50), Math.sin(12.5), Math.cos(50), Math.cos(12.5)];
    expect(values.length).toBe(4);
    expected.forEach((one, i) => {
      expect(values[i]).toBeCloseTo(one, 14);
    });
  });

  test.each([
    [device.name, 0, device],
    [device.name, 1, device],
    [wasm.name, 0, wasm],
    [wasm.name, 1, wasm],
  ] as const)('tensors in f32 are near the exact values on %s, with shift %i', async (_, downscaleFreqShift, on) => {
    const options = { flipSinToCos: true, downscaleFreqShift };
    const worst = async (steps: readonly number[], given: Tensor) => {
      const exact = await read(timestepEmbedding(steps, 320, { ...options, ...f64 }));
      const embedded = await realize(timestepEmbedding(given, 320, options), { device: on });
      expect(deviceOf(embedded)).toBe(on);
      const values = await read(embedded);
      return Math.max(...exact.map((x, i) => Math.abs(x - (values[i] as number))));
    };
    // Two products and a sum of numbers up to 1, each sine and cosine within 2 units of 2⁻²⁴.
    expect(await worst(whole, tensor(whole, { dtype: 'i32' }))).toBeLessThan(8 * 2 ** -24);
    // And, between whole numbers, the rest of the angle, below 2 and rounded three times.
    expect(await worst(between, tensor(between))).toBeLessThan(11 * 2 ** -24);
  });

  test('numbers are rounded once', async () => {
    const options = { flipSinToCos: true, downscaleFreqShift: 0 };
    const exact = timestepEmbedding(whole, 320, { ...options, ...f64 });
    expect(await distance(timestepEmbedding(whole, 320, options).cast('f64'), exact)).toBeLessThanOrEqual(2 ** -25);
  });

  test('an odd width ends with zeros', async () => {
    const values = await read(timestepEmbedding([3], 5, f64));
    expect(values[4]).toBe(0);
  });

  test('widths with no frequencies to space are refused', () => {
    for (const [width, downscaleFreqShift] of [
      [2, 1],
      [1, 0],
      [0, 0],
      [4.5, 0],
    ] as const) {
      expect(() => timestepEmbedding([3], width, { downscaleFreqShift })).toThrow(
        `timestepEmbedding: width must be a whole number from ${2 * downscaleFreqShift + 2}, got ${width}`,
      );
    }
  });
});

describe('timestepMlp', () => {
  const normal = (seed: number, ...shape: number[]): Tensor => random.normal(key(seed), shape, f64);

  test('adds a condition, projected without bias, to what comes in', async () => {
    const layer = timestepMlp(4, 3, { conditionDim: 2, outputs: 5 });
    const params = await realize(layer.init(key(0), f64));
    expect(flattenTree(params).map(({ path, tensor }) => `${path} ${tensor.shape}`)).toEqual([
      'linear_1.weight 3,4',
      'linear_1.bias 3',
      'cond_proj.weight 4,2',
      'linear_2.weight 5,3',
      'linear_2.bias 5',
    ]);
    const [x, condition] = [normal(1, 2, 4), normal(2, 2, 2)];
    const weight = (params.cond_proj as { readonly weight: Tensor }).weight;
    const sum = x.add(matmul(condition, weight.permute([1, 0])));
    const given = layer.apply(params, x, condition);
    expect(await distance(given, layer.apply(params, sum))).toBeLessThan(1e-14);
    expect(await distance(given, layer.apply(params, x))).toBeGreaterThan(1e-3);
  });

  test('refuses a condition that it has no projection for', () => {
    const layer = timestepMlp(4, 3);
    expect(() => layer.apply(layer.init(key(0), f64), normal(1, 2, 4), normal(2, 2, 2))).toThrow(
      'timestepMlp: this layer takes no condition: conditionDim is not given',
    );
  });
});

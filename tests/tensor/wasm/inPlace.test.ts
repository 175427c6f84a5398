import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { ReferenceDevice } from '../../../tensor/reference/device.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';

type Operator = (x: t.Tensor, y: t.Tensor) => t.Tensor;

const side = 20;
const order = (): t.Tensor => t.tensor(Int32Array.from({ length: side }, (_, i) => (i * 7 + 3) % side));

/** Operators on squares; many read elsewhere than they write. */
const operators: Readonly<Record<string, Operator>> = {
  add: (x, y) => t.add(x, y),
  'add a number': (x) => t.add(x, 1),
  mul: (x, y) => t.mul(x, t.add(y, 0.5)),
  negated: (x) => t.neg(x),
  'flipped rows': (x) => t.flip(x, 0),
  'flipped columns': (x) => t.flip(x, 1),
  'plus itself flipped': (x) => t.add(x, t.flip(x, [0, 1])),
  transposed: (x) => t.transpose(x),
  'plus itself transposed': (x) => t.add(x, t.transpose(x)),
  rolled: (x) => t.concat([t.slice(x, [1]), t.slice(x, [0], [1])], 0),
  'half of it twice': (x) => t.concat([t.slice(x, [0], [side / 2]), t.slice(x, [0], [side / 2])], 0),
  'rows in another order': (x) => t.take(x, order()),
  'minus the means of rows': (x) => t.sub(x, t.mean(x, 1, { keepDims: true })),
  'minus the means of columns': (x) => t.sub(x, t.mean(x, 0, { keepDims: true })),
  softmax: (x) => t.softmax(t.mul(x, 0.1), 1),
  'running sums': (x) => t.mul(t.cumsum(x, 0), 0.1),
  sorted: (x) => t.sort(x, 1),
  product: (x, y) => t.mul(t.matmul(x, y), 0.05),
  'plus a product': (x, y) => t.add(x, t.mul(t.matmul(y, x), 0.05)),
  masked: (x, y) => t.where(t.less(x, y), x, t.transpose(y)),
  'halves and back': (x) => t.cast(t.cast(x, 'f16'), 'f32'),
};
const names = Object.keys(operators);

/** Leaves 0 and 1 and then what each step makes of two values before it; some of the values are results. */
interface Plan {
  readonly steps: readonly { readonly name: string; readonly a: number; readonly b: number }[];
  readonly results: readonly number[];
}

const plans: fc.Arbitrary<Plan> = fc
  .array(fc.record({ name: fc.constantFrom(...names), a: fc.nat(), b: fc.nat() }), { minLength: 1, maxLength: 6 })
  .chain((steps) =>
    fc.record({
      steps: fc.constant(steps),
      results: fc.uniqueArray(fc.integer({ min: 2, max: steps.length + 1 }), { minLength: 1, maxLength: 3 }),
    }),
  );

function build({ steps, results }: Plan, leaves: readonly t.Tensor[]): t.Tensor[] {
  const values = [...leaves];
  for (const { name, a, b } of steps) {
    const [x, y] = [a, b].map((place) => values[values.length - 1 - (place % values.length)]) as [t.Tensor, t.Tensor];
    values.push((operators[name] as Operator)(x, y));
  }
  return results.map((place) => values[place] as t.Tensor);
}

const leaf = (seed: number): t.Tensor =>
  t.tensor(
    Float32Array.from({ length: side * side }, (_, i) => Math.sin(seed + i * 1.3)),
    { shape: [side, side] },
  );

describe('what is written over what is given up', () => {
  const reference = new ReferenceDevice();
  const devices: WasmDevice[] = [];
  beforeAll(async () => {
    devices.push(await WasmDevice.open({ threads: 1 }), await WasmDevice.open({ threads: 1, fuse: false }));
  });
  afterAll(() => {
    for (const device of devices) device.close();
  });

  async function outcome(plan: Plan, device: t.Device, donates: boolean): Promise<number[][]> {
    const leaves = await t.realize([leaf(1), leaf(2)], { device });
    const results = build(plan, leaves);
    await t.realize(results, { device, donate: donates ? leaves : [] });
    const read = await Promise.all(results.map(async (result) => Array.from(await t.read(result))));
    t.dispose([donates ? [] : leaves, results]);
    return read;
  }

  const check = async (plan: Plan): Promise<void> => {
    const expected = await outcome(plan, reference, false);
    for (const device of devices) {
      const kept = await outcome(plan, device, false);
      // To the bit what it is where nothing is given up, which is what it ought to be.
      expect(await outcome(plan, device, true)).toEqual(kept);
      kept.forEach((list, i) => {
        list.forEach((value, k) => {
          const wanted = expected[i]?.[k] as number;
          if (Math.abs(value - wanted) > 1e-3 * Math.max(1, Math.abs(wanted))) expect(value).toBe(wanted);
        });
      });
    }
  };

  test.each(names)('%s, of one and of both leaves, beside another result', async (name) => {
    await check({ steps: [{ name, a: 0, b: 1 }], results: [2] });
    const two = [
      { name, a: 1, b: 0 },
      { name: 'add a number', a: 2, b: 0 },
      { name: 'flipped rows', a: 3, b: 0 },
    ];
    await check({ steps: two, results: [2, 3, 4] });
    await check({ steps: two.toReversed(), results: [4, 3] });
    await check({ steps: two.slice(0, 2), results: [3, 2] });
  });

  test('in random programs', () => fc.assert(fc.asyncProperty(plans, check), { numRuns: 60, seed: 5 }));
});

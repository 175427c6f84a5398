import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { makeNode } from '../../../tensor/internal.ts';
import { ReferenceDevice } from '../../../tensor/reference/device.ts';
import { WasmDevice } from '../../../tensor/wasm/device.ts';

/** Something to compute from leaves that it makes itself, all of them on the host. */
type Graph = () => t.Tensor;

const ramp = (shape: readonly number[], dtype: t.DType = 'f32', from = 0): t.Tensor =>
  t.tensor(
    Array.from({ length: t.sizeOf(shape) }, (_, i) => (dtype === 'bool' ? i % 2 : ((i * 7 + from) % 23) + from)),
    { shape, dtype },
  );
const fractions = (shape: readonly number[], dtype: t.DType = 'f32'): t.Tensor =>
  t.tensor(
    Array.from({ length: t.sizeOf(shape) }, (_, i) => Math.round(64 * Math.sin(i * 1.7 + 0.3)) / 64),
    { shape, dtype },
  );
const indices = (...list: number[]): t.Tensor => t.tensor(Int32Array.from(list));

const conv = (attributes: Partial<Record<keyof t.ConvAttributes, readonly number[] | number>>) => () =>
  t.conv(fractions([2, 4, 9]), fractions([4, 'groups' in attributes ? 2 : 4, 3]), {
    ...{ strides: [1], before: [1], after: [1], inputDilation: [1], kernelDilation: [1], groups: 1 },
    ...attributes,
  } as t.ConvAttributes);

const pad = (attributes: object) => () =>
  makeNode(
    'pad',
    [ramp([3], 'f32', 1)],
    { before: [1], after: [1], interior: [0], value: 5, ...attributes } as t.Attributes['pad'],
    ['interior' in attributes ? 7 : 5],
    'f32',
  );

const attention =
  (causal: boolean, biased = false) =>
  () => {
    const inputs = [fractions([1, 5, 4]), fractions([1, 5, 4]), ramp([1, 5, 4]).mul(0.1)];
    return makeNode('attention', biased ? [...inputs, ramp([1, 5, 5])] : inputs, { causal }, [1, 5, 4], 'f32');
  };

const attentionGradient = (causal: boolean) => () =>
  makeNode(
    'attentionGradient',
    [fractions([1, 5, 4]), ramp([1, 5, 4]).mul(0.1), fractions([1, 5, 4]), fractions([1, 5, 4])],
    { causal },
    [1, 60],
    'f32',
  );

const threefry = (word: 0 | 1) => () =>
  makeNode(
    'threefry',
    [1, 2, 3, 4].map((k) => ramp([4], 'u32', k)),
    { word },
    [4],
    'u32',
  );

/** A product whose right operand begins at an offset along an axis of a leaf, and has one of so many elements. */
function matmulWithSlice(from: number, by: number, axis: 0 | 1): t.Tensor {
  const along = (value: number, across: number): number[] => (axis === 0 ? [value, across] : [across, value]);
  const view = t.slice(ramp([12, 12]), along(from, 0), along(from + 6 * by - (by - 1), 6), along(by, 1));
  return t.matmul(fractions([6, 6]), view);
}

const table = (rows: number, columns = 2) => ramp([rows, columns], 'f32', 3);

/** Graphs that differ from one another in one thing; where one is taken for another, the result is wrong. */
const families: Readonly<Record<string, Readonly<Record<string, Graph>>>> = {
  'dtypes of leaves': {
    i32: () => t.cast(t.tensor(Int32Array.of(-1, 2, 3)), 'f32'),
    u32: () => t.cast(t.tensor(Uint32Array.of(0xffffffff, 2, 3)), 'f32'),
    f32: () => t.cast(t.tensor([-1.5, 2, 3]), 'f32').add(0),
  },
  'dtypes of halves': {
    f16: () => t.cast(t.tensor([1 / 3, 257], { dtype: 'f16' }), 'f32'),
    bf16: () => t.cast(t.tensor([1 / 3, 257], { dtype: 'bf16' }), 'f32'),
  },
  'dtypes of casts': {
    f16: () => t.cast(t.cast(t.tensor([1 / 3, 1000.7, 70000]), 'f16'), 'f32'),
    bf16: () => t.cast(t.cast(t.tensor([1 / 3, 1000.7, 70000]), 'bf16'), 'f32'),
    i32: () => t.cast(t.cast(t.tensor([1 / 3, 1000.7, 70000]), 'i32'), 'f32'),
  },
  'shapes of leaves, of as many elements': Object.fromEntries(
    [
      [2, 6],
      [6, 2],
      [3, 4],
      [12, 1],
    ].map((shape) => [shape.join(), () => t.cumsum(ramp(shape), 0)]),
  ),
  'shapes that are summed away': Object.fromEntries([4, 5, 8].map((n) => [`${n}`, () => t.sum(ramp([n, 3]), 0)])),
  reshapes: {
    '3, 4': () => t.transpose(t.reshape(ramp([12]), [3, 4])).reshape([12]),
    '4, 3': () => t.transpose(t.reshape(ramp([12]), [4, 3])).reshape([12]),
  },
  broadcasts: {
    rows: () => t.broadcastTo(ramp([1, 3]), [3, 3]).add(0.5),
    columns: () => t.broadcastTo(ramp([3, 1]), [3, 3]).add(0.5),
  },
  'axes of permutations': {
    '0, 2, 1': () => t.permute(ramp([2, 2, 2]), [0, 2, 1]),
    '2, 1, 0': () => t.permute(ramp([2, 2, 2]), [2, 1, 0]),
    '1, 2, 0': () => t.permute(ramp([2, 2, 2]), [1, 2, 0]),
    '2, 0, 1': () => t.permute(ramp([2, 2, 2]), [2, 0, 1]),
  },
  'starts and steps of slices': Object.fromEntries(
    [
      [0, 1],
      [1, 1],
      [4, 1],
      [0, 2],
      [1, 2],
      [0, 3],
    ].map(([start, step]) => [
      `${start}, ${step}`,
      () =>
        t.slice(
          ramp([12]),
          [start as number],
          [(start as number) + 3 * (step as number) - ((step as number) - 1)],
          [step as number],
        ),
    ]),
  ),
  'axes of flips': {
    0: () => t.flip(ramp([3, 3]), 0),
    1: () => t.flip(ramp([3, 3]), 1),
    both: () => t.flip(ramp([3, 3]), [0, 1]),
  },
  padding: {
    plain: pad({}),
    before: pad({ before: [2], after: [0] }),
    after: pad({ before: [0], after: [2] }),
    value: pad({ value: 6 }),
    'minus zero': () => t.div(1, pad({ value: -0 })()),
    zero: () => t.div(1, pad({ value: 0 })()),
    'one element more': () => t.pad(ramp([4], 'f32', 1), [[1, 0]], 5),
    interior: pad({ interior: [1] }),
  },
  'axes and order of joins': {
    0: () => t.concat([ramp([2, 2]), fractions([2, 2])], 0).reshape([8]),
    1: () => t.concat([ramp([2, 2]), fractions([2, 2])], 1).reshape([8]),
    sizes: () => t.concat([ramp([1, 2]), fractions([3, 2])], 0).reshape([8]),
  },
  constants: {
    1: () => t.add(ramp([3]), 1),
    2: () => t.add(ramp([3]), 2),
    '-0': () => t.div(1, t.mul(ramp([3]), -0)),
    0: () => t.div(1, t.mul(ramp([3]), 0)),
  },
  'axes of counts': {
    0: () => t.iota([3, 3], 0, 'f32').mul(2),
    1: () => t.iota([3, 3], 1, 'f32').mul(2),
  },
  'words of random numbers': { 0: threefry(0), 1: threefry(1) },
  'axes of reductions': {
    0: () => t.sum(ramp([3, 3, 3]), 0),
    1: () => t.sum(ramp([3, 3, 3]), 1),
    2: () => t.sum(ramp([3, 3, 3]), 2),
    max: () => t.max(ramp([3, 3, 3]), 1),
  },
  'axes of running sums': { 0: () => t.cumsum(ramp([4, 4]), 0), 1: () => t.cumsum(ramp([4, 4]), 1) },
  'axes of the largest': { 0: () => t.argMax(ramp([4, 4]), 0), 1: () => t.argMax(ramp([4, 4]), 1) },
  'axes and directions of sorting': {
    0: () => t.argSort(ramp([4, 4]), 0),
    1: () => t.argSort(ramp([4, 4]), 1),
    descending: () => t.argSort(ramp([4, 4]), 1, { descending: true }),
  },
  'sizes of tables': Object.fromEntries(
    [5, 3].map((rows) => [`${rows}`, () => t.take(table(rows), indices(0, 4, 2)).mul(2)]),
  ),
  'sizes of tables with an index for the largest': Object.fromEntries(
    [8, 5].map((rows) => [`${rows}`, () => t.take(table(rows), indices(0, 7, 2))]),
  ),
  'widths of tables': Object.fromEntries(
    [2, 3].map((columns) => [`${columns}`, () => t.take(table(5, columns), indices(4, 1)).slice([0, 0], [2, 2])]),
  ),
  'axes of lookups': {
    0: () => t.gather(fractions([3, 3]), t.tensor([[0, 2, 2]], { dtype: 'i32' }), 0),
    1: () => t.gather(fractions([3, 3]), t.tensor([[0], [2], [2]], { dtype: 'i32' }), 1).reshape([1, 3]),
  },
  'axes of scattering': {
    0: () => t.scatterAdd(ramp([2, 2]), t.tensor([[1, 0]], { dtype: 'i32' }), fractions([1, 2]), 0),
    1: () => t.scatterAdd(ramp([2, 2]), t.tensor([[1, 0]], { dtype: 'i32' }), fractions([1, 2]), 1),
  },
  'sizes that are scattered to': Object.fromEntries(
    [5, 3].map((rows) => [`${rows}`, () => t.scatterAdd(t.zeros([rows]), indices(4, 1), fractions([2]), 0)]),
  ),
  'operands of matrix products': {
    plain: () => t.matmul(fractions([6, 6]), ramp([6, 6])),
    left: () => t.matmul(t.transpose(fractions([6, 6])), ramp([6, 6])),
    right: () => t.matmul(fractions([6, 6]), t.transpose(ramp([6, 6]))),
    flipped: () => t.matmul(fractions([6, 6]), t.flip(ramp([6, 6]), 0)),
    repeated: () => t.matmul(fractions([6, 6]), t.broadcastTo(ramp([1, 6]), [6, 6])),
    swapped: () => t.matmul(ramp([6, 6]), fractions([6, 6])),
  },
  'offsets and steps of operands': Object.fromEntries(
    (
      [
        [0, 1, 0],
        [2, 1, 0],
        [0, 2, 0],
        [1, 2, 0],
        [2, 1, 1],
        [5, 1, 1],
        [0, 2, 1],
      ] as const
    ).map(([from, by, axis]) => [`${from}, ${by}, axis ${axis}`, () => matmulWithSlice(from, by, axis)]),
  ),
  'shapes of matrix products': {
    '2, 12': () => t.matmul(fractions([6, 2]), ramp([2, 12])),
    '12, 2': () => t.matmul(fractions([6, 12]), ramp([12, 2])),
  },
  convolutions: {
    plain: conv({}),
    strides: conv({ strides: [2] }),
    before: conv({ before: [2], after: [0] }),
    after: conv({ before: [0], after: [2] }),
    'kernel dilation': conv({ kernelDilation: [2], before: [2], after: [2] }),
    'input dilation': conv({ inputDilation: [2] }),
    groups: conv({ groups: 2 }),
  },
  attention: {
    plain: attention(false),
    causal: attention(true),
    biased: attention(false, true),
    'causal and biased': attention(true, true),
    'its gradient': attentionGradient(false),
    'its causal gradient': attentionGradient(true),
  },
  operators: {
    add: () => t.add(ramp([4]), fractions([4])),
    sub: () => t.sub(ramp([4]), fractions([4])),
    'sub, exchanged': () => t.sub(fractions([4]), ramp([4])),
    mul: () => t.mul(ramp([4]), fractions([4])),
    maximum: () => t.maximum(ramp([4]), fractions([4])),
    minimum: () => t.minimum(ramp([4]), fractions([4])),
    remainder: () => t.remainder(ramp([4]), fractions([4])),
    'a leaf twice': () => {
      const x = ramp([4]);
      return t.add(x, x);
    },
    'two leaves': () => t.add(ramp([4]), ramp([4], 'f32', 5)),
  },
};

describe('graphs that differ in one thing', () => {
  const reference = new ReferenceDevice();
  let device: WasmDevice;
  beforeAll(async () => {
    device = await WasmDevice.open({ threads: 1 });
  });
  afterAll(() => device.close());

  /** What graphs give in one run, or why they do not. */
  async function outcome(on: t.Device, graphs: readonly Graph[], long: boolean): Promise<unknown> {
    const results = graphs.map((graph) => graph());
    // Graphs of many nodes are known by descriptions of them.
    const chain = Array.from({ length: long ? 70 : 0 }).reduce<t.Tensor>((x) => t.add(x, 1), t.ones([1]));
    try {
      await t.realize([...results, chain], { device: on });
    } catch (error) {
      return /index -?\d+/.exec(String(error))?.[0] ?? error;
    }
    const read = await Promise.all(results.map(async (result) => Array.from(await t.read(result))));
    t.dispose([results, chain]);
    return read;
  }

  for (const [name, members] of Object.entries(families)) {
    test(`in ${name}`, async () => {
      const graphs = Object.entries(members);
      const alone = new Map<Graph, unknown>();
      for (const [, graph] of graphs) alone.set(graph, await outcome(reference, [graph], false));
      for (const long of [false, true]) {
        for (const [what, graph] of [...graphs, ...graphs.toReversed()])
          expectSame(await outcome(device, [graph], long), alone.get(graph), what);
      }
      // Kernels of one plan share code, too. An index that is out of range in one of them ends the run.
      for (const order of [graphs, graphs.toReversed()]) {
        const together = order.map(([, graph]) => graph);
        const expected = together.map((graph) => alone.get(graph));
        const refused = expected.find((one) => !Array.isArray(one));
        expectSame(await outcome(device, together, false), refused ?? expected.flat(), 'together');
      }
      expect(new Set([...alone.values()].map((value) => String(value))).size).toBe(graphs.length);
    });
  }
});

/** Equal but for what roundings of f32 may differ. */
function expectSame(actual: unknown, expected: unknown, what: string): void {
  if (!Array.isArray(actual) || !Array.isArray(expected)) {
    expect(actual, what).toEqual(expected);
    return;
  }
  expect(actual.length, what).toBe(expected.length);
  actual.forEach((list: number[], i) => {
    const wanted = expected[i] as number[];
    expect(list.length, what).toBe(wanted.length);
    const size = Math.max(1, ...wanted.map(Math.abs).filter(Number.isFinite));
    list.forEach((value, k) => {
      const other = wanted[k] as number;
      if (!Object.is(value, other)) expect(Math.abs(value - other), what).toBeLessThanOrEqual(1e-5 * size);
    });
  });
}

import { type Features, fid, kid, nearestNeighbours, precisionRecall, slicedWasserstein } from 'diffusion-dpo/dpo';
import { key, openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { featuresOf, normalRows } from './rows.ts';

setDefaultDevice(await openDevice('reference'));

/** Rows that have exactly the mean and the covariance B·Bᵀ: ±√((n − 1)/2)·b for each column b, n = 2·width rows. */
function exactRows(mean: readonly number[], columns: readonly (readonly number[])[]): Features {
  const n = 2 * columns.length;
  const scale = Math.sqrt((n - 1) / 2);
  return featuresOf(
    columns.flatMap((column) => [1, -1].map((sign) => mean.map((m, i) => m + sign * scale * (column[i] as number)))),
  );
}

/** Small sets of rows of one width. */
const sets = fc.integer({ min: 1, max: 3 }).chain((width) => {
  const rows = fc.array(fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: width, maxLength: width }), {
    minLength: 5,
    maxLength: 9,
  });
  return fc.tuple(rows, rows).map(([x, y]) => [featuresOf(x), featuresOf(y)] as const);
});

const moved = (features: Features, by: number): Features => ({
  ...features,
  values: features.values.map((value) => value + by),
});

describe('kid', () => {
  test('is what its definition says, worked out by hand', () => {
    // k(x, y) = (xy + 1)³. Within x = 0, 1, 2: (1 + 1 + 27)·2/6. Within y = 1, 1, 3: (8 + 64 + 64)·2/6.
    // Between: rows of 0: 1, 1, 1; of 1: 8, 8, 64; of 2: 27, 27, 343.
    const { value } = kid(featuresOf([[0], [1], [2]]), featuresOf([[1], [1], [3]]));
    expect(value).toBeCloseTo(29 / 3 + 136 / 3 - (2 * 480) / 9, 10);
  });

  test('divides the product by the width, worked out by hand', () => {
    // k(x, y) = (x·y/2 + 1)³ is 1 for a product of 0, and 27 for one of 4.
    const x = featuresOf([
      [0, 0],
      [2, 0],
      [0, 2],
    ]);
    const y = featuresOf([
      [2, 2],
      [0, 0],
      [2, 0],
    ]);
    expect(kid(x, y).value).toBeCloseTo(1 + 29 / 3 - (2 * (3 + 55 + 29)) / 9, 10);
  });

  test('has no bias: over many draws from one distribution its mean is 0, within five standard errors', async () => {
    const draws = 100;
    const x = await normalRows(1, draws * 8, [0.5, -1]);
    const y = await normalRows(2, draws * 12, [0.5, -1]);
    const cut = (features: Features, i: number, count: number): Features => ({
      count,
      width: 2,
      values: features.values.slice(i * count * 2, (i + 1) * count * 2),
    });
    const values = Array.from({ length: draws }, (_, i) => kid(cut(x, i, 8), cut(y, i, 12)).value);
    const mean = values.reduce((a, b) => a + b, 0) / draws;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (draws - 1));
    expect(Math.abs(mean)).toBeLessThan((5 * deviation) / Math.sqrt(draws));
  });

  test('is near 0 for samples of one distribution, which the interval holds, and far from it for others', async () => {
    const [x, y, other] = await Promise.all([
      normalRows(3, 300, [0, 0, 0]),
      normalRows(4, 300, [0, 0, 0]),
      normalRows(5, 300, [1, 0, 0]),
    ]);
    const same = kid(x, y);
    expect(same.low).toBeLessThan(0);
    expect(same.high).toBeGreaterThan(0);
    expect(kid(x, other).low).toBeGreaterThan(0);
    expect(kid(x, other).value).toBeGreaterThan(10 * Math.abs(same.value));
  });

  test('has the interval of the jackknife, worked out by leaving rows out', () => {
    const [x, y] = [
      [[0.5], [1], [-2], [1.5]],
      [[1], [0.25], [3]],
    ] as [number[][], number[][]];
    const without = (rows: number[][]) => rows.map((_, i) => rows.filter((_, j) => j !== i));
    // With 2 rows left, the definition has no interval, so it is written out here.
    const k = ([a]: number[], [b]: number[]) => (Number(a) * Number(b) + 1) ** 3;
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const own = (rows: number[][]) => mean(rows.flatMap((a, i) => rows.flatMap((b, j) => (i === j ? [] : [k(a, b)]))));
    const mmd = (a: number[][], b: number[][]) =>
      own(a) + own(b) - 2 * mean(a.flatMap((one) => b.map((other) => k(one, other))));
    const variance = (values: number[]) =>
      (values.length - 1) * mean(values.map((value) => (value - mean(values)) ** 2));
    const expected =
      variance(without(x).map((rest) => mmd(rest, y))) + variance(without(y).map((rest) => mmd(x, rest)));
    const { value, low, high } = kid(featuresOf(x), featuresOf(y));
    expect(value).toBeCloseTo(mmd(x, y), 10);
    expect(high - low).toBeCloseTo(2 * 1.959963984540054 * Math.sqrt(expected), 8);
  });

  test('its interval holds the true value about as often as it says', async () => {
    // In one dimension E k(x, y) follows from the moments of N(0, 1): 1 + 3·1·1 within; with N(1, 1): E y = 1, E y² = 2, E y³ = 4.
    const truth = 1 + 3 + (1 + 3 + 3 * 4 + 16) - 2 * (1 + 3 * 2);
    const draws = 60;
    let held = 0;
    for (let i = 0; i < draws; i++) {
      const { low, high } = kid(await normalRows(100 + i, 60, [0]), await normalRows(1000 + i, 60, [1]));
      if (low <= truth && truth <= high) held++;
    }
    expect(held / draws).toBeGreaterThan(0.95 - 5 * Math.sqrt((0.95 * 0.05) / draws));
  });

  test('is symmetric, and does not depend on the order of rows', () =>
    fc.assert(
      fc.property(sets, ([x, y]) => {
        const [one, other] = [kid(x, y), kid(y, x)];
        expect(one.value).toBeCloseTo(other.value, 8);
        const rows = Array.from({ length: x.count }, (_, i) =>
          Array.from(x.values.subarray(i * x.width, (i + 1) * x.width)),
        );
        expect(kid(featuresOf(rows.reverse()), y).value).toBeCloseTo(one.value, 8);
      }),
      { numRuns: 30 },
    ));

  test('refuses what cannot be compared', () => {
    const x = featuresOf([[0], [1], [2]]);
    expect(() => kid(x, featuresOf([[0, 1]]))).toThrow('kid: needs at least 3 rows of features, got 1');
    expect(() =>
      kid(
        x,
        featuresOf([
          [0, 1],
          [0, 1],
          [0, 1],
        ]),
      ),
    ).toThrow('kid: features of width 1 and 2 are not of one network');
    expect(() => kid(x, featuresOf([[0], [Number.NaN], [1]]))).toThrow(
      'kid: number 0 of row 1 of the features is NaN, not finite',
    );
    expect(() => kid(x, { count: 3, width: 2, values: new Float32Array(5) })).toThrow(
      'kid: 5 numbers are not 3 rows of 2',
    );
  });
});

describe('fid', () => {
  test('of Gaussians with one and the same axes is |μ − ν|² + Σ (σ − τ)²', () => {
    const x = exactRows(
      [1, 2, 3],
      [
        [2, 0, 0],
        [0, 1, 0],
        [0, 0, 0.5],
      ],
    );
    const y = exactRows(
      [1, 0, 3.5],
      [
        [1, 0, 0],
        [0, 4, 0],
        [0, 0, 0.5],
      ],
    );
    expect(fid(x, y).value).toBeCloseTo(4 + 0.25 + 1 + 9, 10);
  });

  test('of Gaussians whose covariances do not commute has the trace of the root in closed form', () => {
    // For 2 × 2 matrices tr (A·B)^½ = √(tr AB + 2·√(det A·det B)); A = [[2, 1], [1, 1]], B = [[1, 0], [0, 9]].
    const [x, y] = [
      exactRows(
        [0, 0],
        [
          [1, 1],
          [1, 0],
        ],
      ),
      exactRows(
        [0, 0],
        [
          [1, 0],
          [0, 3],
        ],
      ),
    ];
    expect(fid(x, y).value).toBeCloseTo(3 + 10 - 2 * Math.sqrt(11 + 2 * 3), 10);
  });

  test('is 0 of a set with itself, even where rows are fewer than columns', () => {
    const x = featuresOf([
      [1, 2, 3, 4, 5],
      [0, 1, 0, 1, 0],
      [2, 2, 2, 2, 3],
      [9, 1, 4, 4, 1],
    ]);
    expect(Math.abs(fid(x, x).value)).toBeLessThan(1e-6);
  });

  test('is symmetric, not negative, and not changed by moving both', () =>
    fc.assert(
      fc.property(sets, ([x, y]) => {
        const { value } = fid(x, y);
        expect(value).toBeGreaterThan(-1e-6);
        expect(fid(y, x).value).toBeCloseTo(value, 5);
        expect(fid(moved(x, 3), moved(y, 3)).value).toBeCloseTo(value, 5);
      }),
      { numRuns: 30 },
    ));

  test('its interval holds the value of Gaussians that samples come from', async () => {
    const [x, y] = [await normalRows(6, 1500, [0, 0], [1, 2]), await normalRows(7, 1500, [1, 0], [1, 1])];
    const { low, high } = fid(x, y);
    expect(low).toBeLessThan(1 + 1);
    expect(high).toBeGreaterThan(1 + 1);
    expect(high - low).toBeLessThan(1);
  });
});

describe('slicedWasserstein', () => {
  const options = { key: key(1) };

  test('in one dimension is the Wasserstein distance, for sets of different sizes too', async () => {
    // Quarters: 0 → 1, 0 → 1, 4 → 1, 4 → 5, squares 1, 1, 9, 1; every number stands twice so that there are rows enough.
    const x = featuresOf([[0], [4], [0], [4]]);
    const y = featuresOf([1, 1, 1, 5, 1, 1, 1, 5].map((value) => [value]));
    expect((await slicedWasserstein(x, y, options)).value).toBeCloseTo(Math.sqrt(12 / 4), 10);
  });

  test('of a set moved by v is the root of the mean of (v·direction)²: |v|/√width, as directions grow many', async () => {
    const x = await normalRows(8, 40, [0, 0, 0, 0]);
    const { value } = await slicedWasserstein(x, moved(x, 1), { ...options, projections: 2000, groups: 2 });
    // (v·θ)² has mean |v|²/d and variance 2|v|⁴·(d − 1)/(d²(d + 2)).
    const [mean, variance] = [4 / 4, (2 * 16 * 3) / (16 * 6)];
    expect(Math.abs(value ** 2 - mean)).toBeLessThan(5 * Math.sqrt(variance / 2000));
  });

  test('of centred round Gaussians is the difference of their deviations', async () => {
    const [x, y] = [await normalRows(9, 1500, [0, 0], [1, 1]), await normalRows(10, 1500, [0, 0], [3, 3])];
    const { low, high } = await slicedWasserstein(x, y, { ...options, projections: 8 });
    expect(low).toBeLessThan(2);
    expect(high).toBeGreaterThan(2);
    expect(high - low).toBeLessThan(0.3);
  });

  test('is 0 of a set with itself, symmetric, and grows in proportion', () =>
    fc.assert(
      fc.asyncProperty(sets, async ([x, y]) => {
        const few = { ...options, projections: 8 };
        const tripled = (f: Features): Features => ({ ...f, values: f.values.map((value) => 3 * value) });
        const { value } = await slicedWasserstein(x, y, few);
        expect((await slicedWasserstein(x, x, few)).value).toBe(0);
        expect((await slicedWasserstein(y, x, few)).value).toBeCloseTo(value, 10);
        expect((await slicedWasserstein(tripled(x), tripled(y), few)).value).toBeCloseTo(3 * value, 8);
      }),
      { numRuns: 20 },
    ));
});

describe('nearestNeighbours', () => {
  test('finds the nearest row, the first of equals, and its distance', () => {
    const training = featuresOf([
      [0, 0],
      [3, 4],
      [3, 4],
      [10, 0],
    ]);
    const { rows, distances } = nearestNeighbours(
      featuresOf([
        [0, 0],
        [3, 3],
        [7, 0],
      ]),
      training,
    );
    expect(Array.from(rows)).toEqual([0, 1, 3]);
    expect(Array.from(distances)).toEqual([0, 1, 3]);
  });

  test('never gives more than the distance to any row', () =>
    fc.assert(
      fc.property(sets, ([x, y]) => {
        const { rows, distances } = nearestNeighbours(x, y);
        for (let i = 0; i < x.count; i++) {
          const to = Array.from({ length: y.count }, (_, j) =>
            Math.hypot(
              ...Array.from(
                { length: x.width },
                (_, k) => (x.values[i * x.width + k] as number) - (y.values[j * x.width + k] as number),
              ),
            ),
          );
          expect(distances[i]).toBeCloseTo(Math.min(...to), 10);
          expect(to[rows[i] as number]).toBeCloseTo(Math.min(...to), 10);
        }
      }),
    ));
});

describe('precisionRecall', () => {
  test('counts rows within the balls of the other set, worked out by hand', () => {
    // With one neighbour the balls of real rows 0, 1, 5, 7 have radii 1, 1, 2, 2: they cover [−1, 2] and [3, 9].
    // Those of samples 1.5, 2.5, 8, 20 have radii 1, 1, 5.5, 12: [0.5, 3.5], [2.5, 13.5], [8, 32].
    const real = featuresOf([[0], [1], [5], [7]]);
    const samples = featuresOf([[1.5], [2.5], [8], [20]]);
    const { precision, recall } = precisionRecall(samples, real, { neighbours: 1 });
    expect(precision.value).toBe(2 / 4);
    expect(recall.value).toBe(3 / 4);
  });

  test('is 1 of a set with itself, 0 of sets far apart, and swaps with the sets', () =>
    fc.assert(
      fc.property(sets, ([x, y]) => {
        const same = precisionRecall(x, x);
        expect([same.precision.value, same.recall.value]).toEqual([1, 1]);
        const far = precisionRecall(x, moved(y, 100));
        expect([far.precision.value, far.recall.value]).toEqual([0, 0]);
        const [one, other] = [precisionRecall(x, y), precisionRecall(y, x)];
        expect(one.precision).toEqual(other.recall);
        expect(one.recall).toEqual(other.precision);
      }),
    ));

  test('tells few modes from bad images', async () => {
    const [real, narrow, wide] = [
      await normalRows(11, 200, [0, 0]),
      await normalRows(12, 200, [0, 0], [0.2, 0.2]),
      await normalRows(13, 200, [0, 0], [8, 8]),
    ];
    const [collapsed, scattered] = [precisionRecall(narrow, real), precisionRecall(wide, real)];
    expect(collapsed.precision.low).toBeGreaterThan(0.9);
    expect(collapsed.recall.high).toBeLessThan(0.3);
    expect(scattered.precision.high).toBeLessThan(0.3);
    expect(scattered.recall.low).toBeGreaterThan(0.9);
  });

  test('refuses more neighbours than there are', () => {
    const x = featuresOf([[0], [1], [2]]);
    expect(() => precisionRecall(x, x, { neighbours: 3 })).toThrow(
      'precisionRecall: neighbours must be a whole number from 1 and less than the rows of both sets, 3; got 3',
    );
  });
});

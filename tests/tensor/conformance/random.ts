import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { makeNode } from '../../../tensor/internal.ts';
import { entry, product } from './naive.ts';
import { threefry } from './statistics.ts';
import { compute, type DeviceOf, floats, had, holds, shapes } from './support.ts';

const { random } = t;

/** Seeds: small ones, and any up to the largest. */
const seedOf = fc.oneof(fc.nat({ max: 9 }), fc.maxSafeNat());
const wordsOf = (seed: number): [number, number] => [Math.floor(seed / 2 ** 32), seed % 2 ** 32];

/** Keys, random words and draws without floating point: the same bits on every device. */
export function randomness(device: DeviceOf): void {
  const values = (x: t.Tensor) => compute(device(), x);

  test('threefry2x32-20 gives the known answers of Random123', async () => {
    const u32 = (...words: number[]) => t.tensor(words, { dtype: 'u32' });
    const inputs = [
      u32(0, 0xffffffff, 0x13198a2e),
      u32(0, 0xffffffff, 0x03707344),
      u32(0, 0xffffffff, 0x243f6a88),
      u32(0, 0xffffffff, 0x85a308d3),
    ];
    const word = (i: 0 | 1) => values(makeNode('threefry', inputs, { word: i }, [3], 'u32'));
    expect(await word(0)).toEqual([0x6b200159, 0x1cb996fc, 0xc4923a9c]);
    expect(await word(1)).toEqual([0x99ba4efe, 0xbb002be7, 0x483df7a0]);
    // The tests' own version gives them too.
    expect(threefry([0, 0], [0, 0])).toEqual([0x6b200159, 0x99ba4efe]);
    expect(threefry([0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff])).toEqual([0x1cb996fc, 0xbb002be7]);
    expect(threefry([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3])).toEqual([0xc4923a9c, 0x483df7a0]);
  });

  test('word i of a draw is the cipher of the counter (i, 0), whatever the shape', () =>
    holds(
      [seedOf, shapes(3)],
      async (seed, shape) => {
        const key = t.key(seed);
        expect([key.dtype, key.shape]).toEqual(['u32', [2]]);
        expect(await values(key)).toEqual(wordsOf(seed));
        const expected = Array.from({ length: product(shape) }, (_, i) => threefry(wordsOf(seed), [i, 0]));
        for (const word of [0, 1] as const) {
          const bits = random.randomBits(key, shape, word);
          expect([bits.dtype, bits.shape]).toEqual(['u32', shape]);
          expect(await values(bits)).toEqual(expected.map((pair) => pair[word]));
        }
      },
      25,
    ));

  test('split and foldIn are the cipher of counters that no draw uses', () =>
    holds(
      [seedOf, fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })],
      async (seed, count, data) => {
        const keys = random.split(t.key(seed), count);
        expect(keys.length).toBe(count);
        for (const [i, key] of keys.entries()) {
          expect([key.dtype, key.shape]).toEqual(['u32', [2]]);
          expect(await values(key)).toEqual(threefry(wordsOf(seed), [i, 1]));
        }
        const folded = random.foldIn(t.key(seed), data);
        expect([folded.dtype, folded.shape]).toEqual(['u32', [2]]);
        expect(await values(folded)).toEqual(threefry(wordsOf(seed), [data, 2]));
      },
      25,
    ));

  test('keys made from a key differ from one another, from it, and from what it draws', async () => {
    const key = t.key(5);
    const split = await values(t.stack(random.split(key, 500)));
    const folded = await values(t.stack(Array.from({ length: 500 }, (_, i) => random.foldIn(key, i))));
    const [low, high] = [await values(random.randomBits(key, [500])), await values(random.randomBits(key, [500], 1))];
    const pairs = [
      ...[split, folded].flatMap((list) => Array.from({ length: 500 }, (_, i) => `${list[2 * i]},${list[2 * i + 1]}`)),
      ...low.map((word, i) => `${word},${high[i]}`),
      '0,5',
    ];
    expect(new Set(pairs).size).toBe(1501);
    expect(random.split(key).length).toBe(2);
  });

  const draws: Readonly<Record<string, (key: t.Tensor, shape: readonly number[]) => t.Tensor>> = {
    uniform: (key, shape) => random.uniform(key, shape),
    normal: (key, shape) => random.normal(key, shape),
    bernoulli: (key, shape) => random.bernoulli(key, 0.3, shape),
    randint: (key, shape) => random.randint(key, shape, -5, 100),
  };
  for (const [name, draw] of Object.entries(draws)) {
    test(`${name} is a function of the key, and of an element only its position counts`, async () => {
      const first = await values(draw(t.key(3), [64]));
      expect(await values(draw(t.key(3), [64]))).toEqual(first);
      expect(await values(draw(t.key(3), [2, 4, 8]))).toEqual(first);
      expect(await values(draw(t.key(3), [100]).slice([0], [64]))).toEqual(first);
      expect(await values(draw(t.key(3), []))).toEqual(first.slice(0, 1));
      expect(await values(draw(t.key(4), [64]))).not.toEqual(first);
      expect((await values(draw(t.key(3), [0, 5]))).length).toBe(0);
    });
  }

  test('uniform is the upper bits of the words, scaled', () =>
    holds([seedOf], async (seed) => {
      const words = Array.from({ length: 20 }, (_, i) => threefry(wordsOf(seed), [i, 0]));
      const single = words.map(([high]) => Math.floor(high / 2 ** 8) / 2 ** 24);
      expect(await values(random.uniform(t.key(seed), [20]))).toEqual(single);
      if (!device().dtypes.has('f64')) return;
      const double = words.map(
        ([high, low]) => (Math.floor(high / 2 ** 5) * 2 ** 26 + Math.floor(low / 2 ** 6)) / 2 ** 53,
      );
      expect(await values(random.uniform(t.key(seed), [20], { dtype: 'f64' }))).toEqual(double);
    }));

  /** The uniform numbers of a key's words, in f32 or f64. */
  const units = (key: readonly [number, number], count: number, dtype: 'f32' | 'f64'): number[] =>
    Array.from({ length: count }, (_, i) => {
      const [high, low] = threefry(key, [i, 0]);
      return dtype === 'f32'
        ? Math.floor(high / 2 ** 8) / 2 ** 24
        : (Math.floor(high / 2 ** 5) * 2 ** 26 + Math.floor(low / 2 ** 6)) / 2 ** 53;
    });

  test('normal is √(−2·log(1 − u))·cos(2π·v), with u and v drawn under the two keys of a split', () =>
    holds([seedOf], async (seed) => {
      for (const dtype of had(device(), ['f32', 'f64'] as const)) {
        const [u, v] = ([0, 1] as const).map((i) => units(threefry(wordsOf(seed), [i, 1]), 20, dtype)) as [
          number[],
          number[],
        ];
        const drawn = await values(random.normal(t.key(seed), [20], { dtype }));
        drawn.forEach((x, i) => {
          const radius = Math.sqrt(-2 * Math.log1p(-entry(u, i)));
          // The angle, up to 2π, is rounded, and so are the radius and the cosine, each by a few units of 2^-24 or 2^-53.
          const bound = 16 * radius * 2 ** (dtype === 'f32' ? -23 : -52);
          expect(Math.abs(x - radius * Math.cos(2 * Math.PI * entry(v, i)))).toBeLessThanOrEqual(bound);
        });
      }
    }));

  test('normal under seed 0, in numbers', async () => {
    const drawn = await values(random.normal(t.key(0), [4]));
    expect(drawn.map((x) => x.toFixed(4))).toEqual(['0.0371', '-0.2976', '-1.4511', '-0.6393']);
  });

  test('bernoulli is u < p, permutation the order of words, categorical the largest with −log(−log u) added', () =>
    holds([seedOf], async (seed) => {
      const u = units(wordsOf(seed), 12, 'f32');
      for (const p of [0.2, 0.7])
        expect(await values(random.bernoulli(t.key(seed), p, [12]))).toEqual(u.map((x) => Number(x < p)));
      const words = Array.from({ length: 12 }, (_, i) => threefry(wordsOf(seed), [i, 0])[0]);
      const order = words.map((_, i) => i).sort((i, j) => entry(words, i) - entry(words, j));
      expect(await values(random.permutation(t.key(seed), 12))).toEqual(order);
      const logits = [0.3, -1, 0.8, 0];
      const noisy = [0, 1, 2].map((row) => logits.map((x, i) => x - Math.log(-Math.log(entry(u, 4 * row + i)))));
      const rows = t.broadcastTo(t.tensor(logits), [3, 4]);
      expect(await values(random.categorical(t.key(seed), rows))).toEqual(
        noisy.map((row) => row.indexOf(Math.max(...row))),
      );
    }));

  test('randint is the upper half of 64 random bits times the span', () =>
    holds(
      [seedOf, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })],
      async (seed, a, b) => {
        const bounds = [
          [Math.min(a, b), Math.max(a, b) + 1],
          [-(2 ** 31), 2 ** 31],
          [-(2 ** 31), 1],
          [-(2 ** 31), 2 ** 31 - 1],
          [-1, 2 ** 31],
          [2 ** 31 - 1, 2 ** 31],
          [-(2 ** 31), -(2 ** 31) + 1],
          [0, 65536],
          [0, 65537],
          [-7, 3],
        ] as const;
        const words = Array.from({ length: 10 }, (_, i) => threefry(wordsOf(seed), [i, 0]));
        for (const [min, max] of bounds) {
          const drawn = random.randint(t.key(seed), [10], min, max);
          expect(drawn.dtype).toBe('i32');
          const span = BigInt(max) - BigInt(min);
          const expected = words.map(([high, low]) => {
            const product = ((BigInt(high) << 32n) | BigInt(low)) * span;
            // A span of 2^32 takes the word itself as an i32.
            return span === 2n ** 32n ? high | 0 : min + Number(product >> 64n);
          });
          expect(await values(drawn)).toEqual(expected);
        }
      },
      15,
    ));

  test('permutation is one, for every length', () =>
    holds([seedOf, fc.nat({ max: 40 })], async (seed, n) => {
      const order = random.permutation(t.key(seed), n);
      expect([order.dtype, order.shape]).toEqual(['i32', [n]]);
      const list = await values(order);
      expect([...list].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
    }));

  test('dtypes and bounds of uniform and normal', async () => {
    for (const dtype of had(device(), floats)) {
      const [u, z] = [random.uniform(t.key(1), [50], { dtype }), random.normal(t.key(1), [50], { dtype })];
      expect([u.dtype, z.dtype]).toEqual([dtype, dtype]);
      for (const x of await values(u)) expect(x >= 0 && x <= 1).toBe(true);
      for (const x of await values(z)) expect(Number.isFinite(x)).toBe(true);
      for (const x of await values(random.uniform(t.key(2), [50], { dtype, min: -3, max: 5 }))) {
        expect(x >= -3 && x <= 5).toBe(true);
      }
    }
    expect(await values(random.uniform(t.key(1), [3], { min: 2, max: 2 }))).toEqual([2, 2, 2]);
  });

  test('halves are rounded from the f32 draw', async () => {
    const wide = await values(random.normal(t.key(9), [100]));
    const half = await values(random.normal(t.key(9), [100], { dtype: 'f16' }));
    half.forEach((x, i) => {
      expect(Math.abs(x - entry(wide, i))).toBeLessThanOrEqual(2 ** -11 * Math.abs(entry(wide, i)) + 2 ** -25);
    });
  });

  test('an impossible class is never drawn, also where the random number is the smallest', async () => {
    // Under these keys, the first 24 bits of some of the first four words are zero.
    for (const seed of smallestDraws) {
      const words = [0, 1, 2, 3].map((i) => Math.floor(threefry(wordsOf(seed), [i, 0])[0] / 2 ** 8));
      expect(words).toContain(0);
      for (let likely = 0; likely < 4; likely++) {
        const logits = [0, 1, 2, 3].map((i) => (i === likely ? 0 : Number.NEGATIVE_INFINITY));
        expect(await values(random.categorical(t.key(seed), t.tensor(logits)))).toEqual([likely]);
      }
      for (const x of await values(random.normal(t.key(seed), [4]))) expect(Number.isFinite(x)).toBe(true);
    }
  });

  test('bad arguments are refused, with their values', () => {
    const key = t.key(0);
    for (const seed of [-1, 0.5, 2 ** 53, NaN]) expect(() => t.key(seed)).toThrow(`key: a seed is a whole number`);
    for (const data of [-1, 0.5, 2 ** 32, NaN]) {
      expect(() => random.foldIn(key, data)).toThrow(/^foldIn: needs a whole number from 0 to 2\^32 − 1, got/);
    }
    for (const wrong of [t.zeros([2]), t.zeros([3], { dtype: 'u32' }), t.zeros([2, 1], { dtype: 'u32' })]) {
      expect(() => random.split(wrong)).toThrow(/^split: a key is a u32\[2\], made by key\(\) or split\(\), got/);
      expect(() => random.uniform(wrong, [1])).toThrow('a key is a u32[2]');
      expect(() => random.foldIn(wrong, 1)).toThrow('a key is a u32[2]');
    }
    expect(() => random.uniform(key, [-1])).toThrow('[-1] is not a shape');
    expect(() => random.permutation(key, 2.5)).toThrow('[2.5] is not a shape');
    expect(() => random.split(key, -1)).toThrow('[-1] is not a shape');
    expect(() => random.uniform(key, [1], { dtype: 'i32' as 'f32' })).toThrow('uniform: draws floats, not i32');
    expect(() => random.normal(key, [1], { dtype: 'bool' as 'f32' })).toThrow('normal: draws floats, not bool');
    for (const [min, max] of [
      [1, 0],
      [0, Number.POSITIVE_INFINITY],
      [NaN, 1],
    ] as const) {
      expect(() => random.uniform(key, [1], { min, max })).toThrow(
        `uniform: needs finite min ≤ max, got ${min} and ${max}`,
      );
    }
    for (const p of [-0.1, 1.1, NaN]) {
      expect(() => random.bernoulli(key, p, [1])).toThrow(`bernoulli: a probability lies in [0, 1], got ${p}`);
    }
    for (const [min, max] of [
      [0, 0],
      [1, 0],
      [0, 2 ** 31 + 1],
      [-(2 ** 31) - 1, 0],
      [0.5, 2],
      [0, NaN],
    ] as const) {
      expect(() => random.randint(key, [1], min, max)).toThrow(/^randint: needs whole numbers/);
    }
    expect(() => random.categorical(key, t.zeros([2], { dtype: 'i32' }))).toThrow('categorical: needs floats');
    expect(() => random.categorical(key, t.zeros([2]), 1)).toThrow('categorical: there is no axis 1');
  });
}

/** Found by search. */
const smallestDraws = [12254336, 14620119, 14649741, 15248955];

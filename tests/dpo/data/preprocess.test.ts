import { drawTransforms, type PreprocessOptions, prepareImage } from 'diffusion-dpo/dpo';
import { key, openDevice, random, read, setDefaultDevice } from 'diffusion-dpo/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { foldKey, hostKey, shuffled, word } from '../../../dpo/data/draws.ts';
import { resizeWindow } from '../../../dpo/data/resize.ts';
import { pattern, plain } from './samples.ts';

setDefaultDevice(await openDevice('reference'));

const whole = (width: number, height: number) => ({ width, height, top: 0, left: 0, rows: height, columns: width });
const centred = { across: 0.5, down: 0.5, flip: false };
const side = fc.integer({ min: 1, max: 13 });

describe('draws on the host', () => {
  test('are those of keys on a device', async () => {
    for (const seed of [0, 7, 2 ** 40 + 5]) {
      const folded = random.foldIn(random.foldIn(key(seed), 3), 2 ** 32 - 1);
      const host = foldKey(foldKey(hostKey(seed), 3), 2 ** 32 - 1);
      expect([...(await read(folded))]).toEqual([...host]);
      expect([...(await read(random.randomBits(folded, [5])))]).toEqual([0, 1, 2, 3, 4].map((i) => word(host, i)));
    }
  });

  test('shuffle into permutations, each element to each place about as often', () => {
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    for (let seed = 0; seed < 2000; seed++) {
      const order = shuffled(hostKey(seed), 5);
      expect([...order].sort()).toEqual([0, 1, 2, 3, 4]);
      order.forEach((element, place) => {
        (counts[place] as number[])[element] = ((counts[place] as number[])[element] as number) + 1;
      });
    }
    // 400 expected with a standard deviation of 18.
    for (const count of counts.flat()) expect(Math.abs(count - 400)).toBeLessThan(90);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])('refuse the seed %d', (seed) => {
    expect(() => hostKey(seed)).toThrow('2^53 − 1');
  });
});

describe('resizing', () => {
  test('to the same size changes nothing', () => {
    const image = pattern(5, 6, 4);
    const planes = resizeWindow(image, whole(6, 4));
    expect(image.data.every((value, i) => planes[(i % 3) * 24 + Math.floor(i / 3)] === value)).toBe(true);
  });

  test('by hand: a row of 4 to 2 weighs 3, 3, 1 and 1, 3, 3 of seven; 2 to 4 goes linearly', () => {
    const row = (values: readonly number[]) => ({
      width: values.length,
      height: 1,
      data: Uint8Array.from(values.flatMap((v) => [v, v, v])),
    });
    const halved = resizeWindow(row([10, 20, 40, 80]), whole(2, 1));
    // Triangle of half-width 2 about 1: distances 0.5, 0.5, 1.5 weigh 0.75, 0.75, 0.25.
    expect(halved[0]).toBe(Math.round((0.75 * 10 + 0.75 * 20 + 0.25 * 40) / 1.75));
    expect(halved[1]).toBe(Math.round((0.25 * 20 + 0.75 * 40 + 0.75 * 80) / 1.75));
    expect([...resizeWindow(row([0, 100]), whole(4, 1)).subarray(0, 4)]).toEqual([0, 25, 75, 100]);
  });

  test('a constant stays constant, and values stay between the least and the largest', () => {
    fc.assert(
      fc.property(side, side, side, side, fc.integer({ min: 0, max: 255 }), (w, h, width, height, value) => {
        expect(resizeWindow(plain(value, w, h), whole(width, height)).every((v) => Math.abs(v - value) < 1e-4)).toBe(
          true,
        );
        const image = pattern(value, w, h);
        const [least, largest] = [Math.min(...image.data), Math.max(...image.data)];
        for (const v of resizeWindow(image, whole(width, height))) {
          expect(v).toBeGreaterThan(least - 1e-3);
          expect(v).toBeLessThan(largest + 1e-3);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a window is that part of the whole', () => {
    fc.assert(
      fc.property(side, side, side, side, fc.nat(), fc.nat(), (w, h, width, height, a, b) => {
        const image = pattern(1, w, h);
        const [top, left] = [a % height, b % width];
        const [rows, columns] = [height - top, width - left];
        const all = resizeWindow(image, whole(width, height));
        const part = resizeWindow(image, { width, height, top, left, rows, columns });
        for (let c = 0; c < 3; c++)
          for (let y = 0; y < rows; y++)
            for (let x = 0; x < columns; x++)
              expect(part[(c * rows + y) * columns + x]).toBe(all[(c * height + top + y) * width + left + x]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('preparing an image', () => {
  test('scales to −1 … 1 as three planes', () => {
    const { values, timeIds } = prepareImage({ width: 1, height: 1, data: Uint8Array.of(0, 255, 51) }, [1, 1], centred);
    expect([...values]).toEqual([-1, 1, Math.fround(51 / 127.5 - 1)]);
    expect(timeIds).toEqual([1, 1, 0, 0, 1, 1]);
  });

  test('covers the size, keeps proportions, and tells original size and crop', () => {
    // 40 × 20 to 10 × 10: resized to 20 × 10, of which the middle begins at 5.
    expect(prepareImage(pattern(1, 40, 20), [10, 10], centred).timeIds).toEqual([20, 40, 0, 5, 10, 10]);
    expect(prepareImage(pattern(1, 20, 40), [10, 10], centred).timeIds).toEqual([40, 20, 5, 0, 10, 10]);
    expect(prepareImage(pattern(1, 4, 4), [2, 6], centred).timeIds).toEqual([4, 4, 2, 0, 2, 6]);
    expect(prepareImage(pattern(1, 40, 20), [10, 10], { ...centred, across: 0 }).timeIds[3]).toBe(0);
    expect(prepareImage(pattern(1, 40, 20), [10, 10], { ...centred, across: 0.9999 }).timeIds[3]).toBe(10);
  });

  test('mirrors first: the crop counts from the left of what is seen', () => {
    fc.assert(
      fc.property(side, side, side, fc.double({ min: 0, max: 0.999, noNaN: true }), (w, h, size, across) => {
        const image = pattern(9, w, h);
        const data = new Uint8Array(image.data.length);
        for (let y = 0; y < h; y++)
          for (let x = 0; x < w; x++)
            data.set(image.data.subarray((y * w + x) * 3, (y * w + x) * 3 + 3), (y * w + w - 1 - x) * 3);
        const flipped = prepareImage(image, [size, size], { across, down: 0.5, flip: true });
        const mirrored = prepareImage({ ...image, data }, [size, size], { across, down: 0.5, flip: false });
        expect(flipped.timeIds).toEqual(mirrored.timeIds);
        flipped.values.forEach((value, i) => {
          expect(value).toBeCloseTo(mirrored.values[i] as number, 5);
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe('what is drawn for a pair', () => {
  const options: PreprocessOptions = { size: 8, crop: 'random', flip: true, captionDropout: 0.2 };
  const drawn = (count: number, more: Partial<PreprocessOptions> = {}) =>
    Array.from({ length: count }, (_, i) => drawTransforms(foldKey(hostKey(1), i), { ...options, ...more }));

  test('is the same for both sides, unless they are independent', () => {
    for (const { winner, loser } of drawn(50)) expect(loser).toEqual(winner);
    const independent = drawn(400, { independentTransforms: true });
    const differ = independent.filter(({ winner, loser }) => winner.flip !== loser.flip).length;
    expect(differ).toBeGreaterThan(150);
    expect(differ).toBeLessThan(250);
    // What the winner gets, and whether the caption is dropped, does not depend on it.
    expect(independent.map(({ winner, dropCaption }) => [winner, dropCaption])).toEqual(
      drawn(400).map(({ winner, dropCaption }) => [winner, dropCaption]),
    );
  });

  test('has the frequencies that were asked for', () => {
    const many = drawn(2000);
    const share = (of: (one: (typeof many)[number]) => boolean) => many.filter(of).length / many.length;
    expect(Math.abs(share(({ dropCaption }) => dropCaption) - 0.2)).toBeLessThan(0.04);
    expect(Math.abs(share(({ winner }) => winner.flip) - 0.5)).toBeLessThan(0.05);
    expect(Math.abs(share(({ winner }) => winner.across < 0.25) - 0.25)).toBeLessThan(0.05);
    expect(drawn(50, { captionDropout: 0 }).some(({ dropCaption }) => dropCaption)).toBe(false);
    expect(drawn(50, { captionDropout: 1 }).every(({ dropCaption }) => dropCaption)).toBe(true);
    expect(drawn(50, { flip: false }).some(({ winner }) => winner.flip)).toBe(false);
    expect(drawn(50, { crop: 'center' }).every(({ winner }) => winner.across === 0.5 && winner.down === 0.5)).toBe(
      true,
    );
  });
});

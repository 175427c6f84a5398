import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { at, broadcastAt, build, entry, indicesOf, type Nd, product, withAxis } from './naive.ts';
import { fromFront, shapeAndAxis } from './reductions.ts';
import { type DeviceOf, every, expectNd, filled, had, holds, seeds, shapes, stored, upload } from './support.ts';

/** A shape with a permutation of its axes. */
const permuted = shapes().chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    axes: fc.shuffledSubarray(
      shape.map((_, axis) => axis),
      { minLength: shape.length },
    ),
  }),
);

/** Operators that move elements and compute nothing, on every dtype. */
export function movement(device: DeviceOf): void {
  /** Runs a check on each dtype of the device with data of that dtype. */
  const forEach = async (shape: readonly number[], seed: number, f: (x: Nd, dtype: t.DType) => Promise<void>) => {
    for (const dtype of had(device(), every)) await f(filled(shape, seed, dtype), dtype);
  };

  test('permute and transpose', () =>
    holds(
      [permuted, seeds],
      ({ shape, axes }, seed) =>
        forEach(shape, seed, async (x, dtype) => {
          const moved = build(
            axes.map((axis) => entry(shape, axis)),
            (index) => {
              const own = shape.map((_, axis) => entry(index, axes.indexOf(axis)));
              return at(x, own);
            },
          );
          await expectNd(device(), t.permute(upload(x, dtype), axes), moved, dtype);
          const negative = axes.map((axis) => axis - shape.length);
          await expectNd(device(), t.permute(upload(x, dtype), negative), moved, dtype);
          if (shape.length < 2) return;
          const swapped = [...shape.slice(0, -2), entry(shape, shape.length - 1), entry(shape, shape.length - 2)];
          const flat = build(swapped, (i) =>
            at(x, [...i.slice(0, -2), entry(i, i.length - 1), entry(i, i.length - 2)]),
          );
          await expectNd(device(), t.transpose(upload(x, dtype)), flat, dtype);
        }),
      15,
    ));

  test('reshape, flatten, squeeze and unsqueeze keep row-major order', () =>
    holds(
      [shapeAndAxis, seeds],
      ({ shape, axis }, seed) =>
        forEach(shape, seed, async (x, dtype) => {
          const { data } = x;
          const from = fromFront(axis, shape.length);
          const size = data.length;
          await expectNd(device(), t.reshape(upload(x, dtype), [size]), { shape: [size], data }, dtype);
          if (size > 0) {
            const [first = 1, ...rest] = shape;
            const folded = { shape: [first, product(rest)], data };
            await expectNd(device(), t.reshape(upload(x, dtype), [first, -1]), folded, dtype);
          }
          await expectNd(device(), t.flatten(upload(x, dtype)), { shape: [size], data }, dtype);
          const tail = { shape: [...shape.slice(0, from), product(shape.slice(from))], data };
          await expectNd(device(), t.flatten(upload(x, dtype), axis), tail, dtype);
          const wider = { shape: [...shape.slice(0, from), 1, ...shape.slice(from)], data };
          await expectNd(device(), t.unsqueeze(upload(x, dtype), from), wider, dtype);
          await expectNd(device(), t.squeeze(t.unsqueeze(upload(x, dtype), from), from), x, dtype);
          const narrow = { shape: shape.filter((n) => n !== 1), data };
          await expectNd(device(), t.squeeze(upload(x, dtype)), narrow, dtype);
        }),
      15,
    ));

  test('unsqueeze at the end, squeeze from the end, flatten a scalar', async () => {
    const x = upload({ shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }, 'i32');
    expect(t.unsqueeze(x, -1).shape).toEqual([2, 3, 1]);
    expect(t.unsqueeze(x, 2).shape).toEqual([2, 3, 1]);
    expect(t.squeeze(t.unsqueeze(x, -1), -1).shape).toEqual([2, 3]);
    expect(t.flatten(t.tensor(5)).shape).toEqual([1]);
    expect(t.flatten(t.zeros([2, 3, 4, 5]), 1, 2).shape).toEqual([2, 12, 5]);
  });

  test('broadcastTo repeats sizes of 1 and adds leading axes', () =>
    holds(
      [shapes(), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.nat({ max: 4 }), seeds],
      (shape, ones, drop, seed) => {
        const own = shape.map((size, axis) => (ones[axis] === true ? 1 : size)).slice(drop);
        return forEach(own, seed, async (x, dtype) => {
          const expected = build(shape, (index) => broadcastAt(x, index));
          await expectNd(device(), t.broadcastTo(upload(x, dtype), shape), expected, dtype);
        });
      },
      20,
    ));

  test('flip reverses the named axes, or all', () =>
    holds(
      [permuted, seeds, fc.nat({ max: 4 })],
      ({ shape, axes }, seed, count) =>
        forEach(shape, seed, async (x, dtype) => {
          const chosen = axes.slice(0, count);
          const mirrored = (list: readonly number[]) =>
            build(shape, (index) =>
              at(
                x,
                index.map((i, axis) => (list.includes(axis) ? entry(shape, axis) - 1 - i : i)),
              ),
            );
          await expectNd(device(), t.flip(upload(x, dtype), chosen), mirrored(chosen), dtype);
          await expectNd(device(), t.flip(upload(x, dtype)), mirrored(axes), dtype);
        }),
      15,
    ));

  const amounts = fc.array(fc.tuple(fc.integer({ min: -2, max: 3 }), fc.integer({ min: -2, max: 3 })), {
    minLength: 4,
    maxLength: 4,
  });

  test('pad adds around, and crops where amounts are negative', () =>
    holds(
      [shapes(3), amounts, seeds],
      (shape, list, seed) =>
        forEach(shape, seed, async (x, dtype) => {
          const pairs = shape.map((size, axis) => {
            const [before, after] = entry(list, axis);
            return Math.max(0, -before) + Math.max(0, -after) > size ? ([0, 1] as const) : ([before, after] as const);
          });
          const value = dtype === 'bool' ? 1 : 3;
          const out = shape.map((size, axis) => size + entry(pairs, axis)[0] + entry(pairs, axis)[1]);
          const expected = build(out, (index) => {
            const own = index.map((i, axis) => i - entry(pairs, axis)[0]);
            return own.every((i, axis) => i >= 0 && i < entry(shape, axis)) ? at(x, own) : value;
          });
          await expectNd(device(), t.pad(upload(x, dtype), pairs, value), expected, dtype);
        }),
      20,
    ));

  test('padInterior puts elements between neighbours, sliceAxis takes a range of one axis', () =>
    holds(
      [shapeAndAxis, fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 2 }), fc.nat({ max: 2 })), seeds],
      ({ shape, axis }, [before, after, interior], seed) =>
        forEach(shape, seed, async (x, dtype) => {
          const along = fromFront(axis, shape.length);
          const size = entry(shape, along);
          const on = (amount: number) => shape.map((_, other) => (other === along ? amount : 0));
          const out = withAxis(shape, along, before + (size === 0 ? 0 : size + (size - 1) * interior) + after);
          const expected = build(out, (index) => {
            const place = entry(index, along) - before;
            const own = place / (interior + 1);
            return place >= 0 && Number.isInteger(own) && own < size ? at(x, withAxis(index, along, own)) : 1;
          });
          const spread = t.padInterior(upload(x, dtype), on(before), on(after), on(interior), 1);
          await expectNd(device(), spread, expected, dtype);
          const [from, to] = [Math.min(before, size), Math.min(before + after, size)];
          const part = build(withAxis(shape, along, to - from), (i) =>
            at(x, withAxis(i, along, entry(i, along) + from)),
          );
          await expectNd(device(), t.sliceAxis(upload(x, dtype), axis, from, to), part, dtype);
        }),
      15,
    ));

  test('concat, stack and split', () =>
    holds(
      [shapeAndAxis, fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 4 }), seeds],
      ({ shape, axis }, lengths, seed) => {
        const along = fromFront(axis, shape.length);
        const whole = withAxis(
          shape,
          along,
          lengths.reduce((a, b) => a + b, 0),
        );
        return forEach(whole, seed, async (x, dtype) => {
          let start = 0;
          const parts = lengths.map((length) => {
            const from = start;
            start += length;
            return build(withAxis(shape, along, length), (i) => at(x, withAxis(i, along, entry(i, along) + from)));
          });
          const tensors = parts.map((part) => upload(part, dtype));
          await expectNd(device(), t.concat(tensors, axis), x, dtype);
          const cut = t.split(upload(x, dtype), lengths, axis);
          expect(cut.length).toBe(lengths.length);
          for (const [i, part] of parts.entries()) await expectNd(device(), entry(cut, i), part, dtype);
        });
      },
      15,
    ));

  test('stack along any new axis, split into equal parts', () =>
    holds(
      [shapes(3), fc.nat(), seeds],
      (shape, n, seed) =>
        forEach(shape, seed, async (x, dtype) => {
          const axis = n % (shape.length + 1);
          const y = filled(shape, seed + 1, dtype);
          const joined = build([...shape.slice(0, axis), 2, ...shape.slice(axis)], (index) => {
            const own = index.filter((_, i) => i !== axis);
            return at(index[axis] === 0 ? x : y, own);
          });
          const stacked = t.stack([upload(x, dtype), upload(y, dtype)], axis);
          await expectNd(device(), stacked, joined, dtype);
          const [first, second] = t.split(stacked, 2, axis);
          await expectNd(device(), t.squeeze(first as t.Tensor, axis), x, dtype);
          await expectNd(device(), t.squeeze(second as t.Tensor, axis), y, dtype);
          const last = t.stack([upload(x, dtype)], -1);
          expect(last.shape).toEqual([...shape, 1]);
        }),
      15,
    ));

  const counts = fc.array(fc.nat({ max: 3 }), { minLength: 5, maxLength: 5 });

  test('repeat tiles, repeatInterleave repeats elements', () =>
    holds(
      [shapeAndAxis, counts, fc.nat({ max: 1 }), seeds],
      ({ shape, axis }, list, extra, seed) =>
        forEach(shape, seed, async (x, dtype) => {
          const times = list.slice(0, shape.length + extra);
          const aligned = [...new Array<number>(extra).fill(1), ...shape];
          const tiled = build(
            aligned.map((size, i) => size * entry(times, i)),
            (index) => {
              const own = index.slice(extra);
              return at(
                x,
                own.map((i, a) => i % entry(shape, a)),
              );
            },
          );
          await expectNd(device(), t.repeat(upload(x, dtype), times), tiled, dtype);
          const along = fromFront(axis, shape.length);
          const count = entry(list, 0);
          const spread = build(withAxis(shape, along, entry(shape, along) * count), (index) =>
            at(x, withAxis(index, along, Math.floor(entry(index, along) / count))),
          );
          await expectNd(device(), t.repeatInterleave(upload(x, dtype), count, axis), spread, dtype);
        }),
      15,
    ));

  test('zerosLike, onesLike and iota', () =>
    holds(
      [shapeAndAxis, seeds],
      ({ shape, axis }, seed) =>
        forEach(shape, seed, async (x, dtype) => {
          await expectNd(device(), t.zerosLike(upload(x, dtype)), { shape, data: x.data.map(() => 0) }, dtype);
          await expectNd(device(), t.onesLike(upload(x, dtype)), { shape, data: x.data.map(() => 1) }, dtype);
          if (dtype === 'bool') return;
          const along = fromFront(axis, shape.length);
          const count = { shape, data: indicesOf(shape).map((index) => stored(dtype, entry(index, along))) };
          await expectNd(device(), t.iota(shape, along, dtype), count, dtype);
        }),
      10,
    ));
}

import { expect, test } from 'vitest';
import * as t from '../../tensor/index.ts';
import { nextTensorId } from '../../tensor/internal.ts';
import * as activations from '../../tensor/ops/activations.ts';
import * as elementwise from '../../tensor/ops/elementwise.ts';
import * as indexing from '../../tensor/ops/indexing.ts';
import * as movement from '../../tensor/ops/movement.ts';
import * as reductions from '../../tensor/ops/reductions.ts';

const apart = ['concat', 'stack', 'padInterior'];

test('every operator on a tensor is a method, operators on lists are not', () => {
  const x = t.ones([2, 2]) as unknown as Record<string, unknown>;
  for (const module of [activations, elementwise, indexing, movement, reductions]) {
    for (const name of Object.keys(module))
      expect(typeof x[name], name).toBe(apart.includes(name) ? 'undefined' : 'function');
  }
  for (const name of ['matmul', 'broadcastTo', 'cast']) expect(typeof x[name], name).toBe('function');
});

test('a method returns the result of its function', async () => {
  const x = t.tensor([
    [1, 4],
    [9, 16],
  ]);
  const pairs: readonly (readonly [t.Tensor, t.Tensor])[] = [
    [x.sqrt(), t.sqrt(x)],
    [x.add(1).mul(x), t.mul(t.add(x, 1), x)],
    [x.sum(0, { keepDims: true }), t.sum(x, 0, { keepDims: true })],
    [x.reshape([4]), t.reshape(x, [4])],
    [x.greater(4).where(x, 0), t.where(t.greater(x, 4), x, 0)],
    [x.slice([0], [1]), t.slice(x, [0], [1])],
    [x.matmul(x), t.matmul(x, x)],
    [x.softmax(0), t.softmax(x, 0)],
    [x.cast('i32'), t.cast(x, 'i32')],
    [x.topK(1).values, t.topK(x, 1).values],
    [x.clamp({ min: 2, max: 9 }), t.clamp(x, 2, 9)],
  ];
  for (const [method, f] of pairs) {
    expect(method.shape).toEqual(f.shape);
    expect(await t.read(method)).toEqual(await t.read(f));
  }
  expect(x.split(2).length).toBe(2);
});

test('methods are not enumerable, so that tensors compare and print as values', () => {
  expect(Object.keys(t.ones([1]))).toEqual(['shape', 'dtype', 'id']);
});

test('rank, size and ids', () => {
  const x = t.zeros([2, 3, 0]);
  expect([x.rank, x.size]).toEqual([3, 0]);
  expect([t.tensor(1).rank, t.tensor(1).size]).toEqual([0, 1]);
  const [first, second] = [t.tensor(1), t.tensor(1)];
  expect(second.id).toBeGreaterThan(first.id);
  expect(nextTensorId()).toBeGreaterThan(second.id);
  expect(Object.isFrozen(t.add(first, 1).shape)).toBe(true);
});

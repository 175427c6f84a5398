import { describe, expect, test } from 'vitest';
import { grad } from '../../autograd/index.ts';
import {
  all,
  any,
  einsum,
  logSoftmax,
  logSumExp,
  read,
  scaledDotProductAttention,
  softmax,
  sum,
  toNested,
  zeros,
} from '../../tensor/index.ts';

describe('tensors without elements', () => {
  test.each([
    ['ij,kj->ik', [0, 1], [0, 1], [0, 0]],
    ['ij,jk->ik', [2, 0], [0, 3], [2, 3]],
    ['ij,ij->', [0, 2], [0, 2], []],
    ['...i,...i->...', [0, 2], [1, 2], [0]],
    ['...i,i->...', [1, 0], [0], [1]],
  ])('einsum %s', async (equation, a, b, expected) => {
    const result = einsum(equation, zeros(a), zeros(b));
    expect(result.shape).toEqual(expected);
    expect([...(await read(result))].every((value) => value === 0)).toBe(true);
    const gradients = grad((x: ReturnType<typeof zeros>) => sum(einsum(equation, x, zeros(b))))(zeros(a));
    expect(gradients.shape).toEqual(a);
    expect([...(await read(gradients))].every((value) => value === 0)).toBe(true);
  });

  test('softmax over nothing is nothing, as in PyTorch', async () => {
    expect((await read(softmax(zeros([2, 0])))).length).toBe(0);
    expect((await read(logSoftmax(zeros([2, 0])))).length).toBe(0);
    const gradient = grad((x: ReturnType<typeof zeros>) => sum(softmax(x)))(zeros([2, 0]));
    expect(gradient.shape).toEqual([2, 0]);
  });

  test('any and all of nothing, as in NumPy', async () => {
    expect(await toNested(any(zeros([2, 0], { dtype: 'bool' }), 1))).toEqual([false, false]);
    expect(await toNested(all(zeros([2, 0], { dtype: 'bool' })))).toBe(true);
    expect(any(zeros([0, 3], { dtype: 'bool' }), 0, { keepDims: true }).shape).toEqual([1, 3]);
  });

  test('logSumExp of nothing is −∞, as in PyTorch', async () => {
    expect(await toNested(logSumExp(zeros([2, 0]), 1))).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });

  test('attention over no keys is zero, as in PyTorch', async () => {
    const result = scaledDotProductAttention(zeros([2, 3]), zeros([0, 3]), zeros([0, 4]));
    expect([...(await read(result))]).toEqual(new Array(8).fill(0));
  });
});

import { expect, test } from 'vitest';
import { add, read, tensor, zipTrees } from '../../tensor/index.ts';

test('zipTrees combines tensors at equal paths and keeps everything else', async () => {
  const one = { layers: [{ w: tensor([1, 2]), name: 'first' }], b: tensor([3]) };
  const two = { layers: [{ w: tensor([10, 20]), name: 'other' }], b: tensor([30]) };
  const sum = zipTrees((a, b) => add(a, b as typeof a), one, two);
  expect(await read(sum.layers[0]?.w as typeof sum.b)).toEqual(Float32Array.of(11, 22));
  expect(await read(sum.b)).toEqual(Float32Array.of(33));
  expect(sum.layers[0]?.name).toBe('first');
});

test('zipTrees names the first path at which the trees differ', () => {
  const x = tensor([1]);
  expect(() => zipTrees((a) => a, { a: x, b: x }, { a: x, c: x })).toThrow("the first has 'b' where another has 'c'");
  expect(() => zipTrees((a) => a, { a: x }, {})).toThrow("the first has 'a' where another has nothing");
});

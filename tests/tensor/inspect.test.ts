import { inspect as nodeInspect } from 'node:util';
import { expect, test } from 'vitest';
import { add, arange, dispose, exp, inspect, openDevice, realize, tensor, zeros } from '../../tensor/index.ts';

test('values on the host and on a device, as Node prints them', async () => {
  const device = await openDevice('reference');
  const x = tensor([
    [1, -0, 0.5],
    [1 / 3, 1e-9, Number.NaN],
  ]);
  expect(nodeInspect(x)).toBe('Tensor f32[2, 3] \n[[1, -0, 0.5],\n [0.333333, 1e-9, NaN]]');
  const [placed] = await realize([add(x, 0)], { device });
  expect(nodeInspect(placed)).toBe('Tensor f32[2, 3] on reference \n[[1, 0, 0.5],\n [0.333333, 1e-9, NaN]]');
  expect(nodeInspect({ x: tensor(3) })).toBe('{ x: Tensor f32[] 3 }');
  expect(inspect(tensor([true, false]))).toBe('Tensor bool[2] [true, false]');
  expect(inspect(tensor([1.5, -2], { dtype: 'f16' }))).toBe('Tensor f16[2] [1.5, -2]');
  expect(inspect(tensor([4294967295], { dtype: 'u32' }))).toBe('Tensor u32[1] [4294967295]');
  expect(inspect(tensor(new Float64Array([1 / 3])))).toBe('Tensor f64[1] [0.33333333]');
  expect(inspect(tensor([Number.POSITIVE_INFINITY]))).toBe('Tensor f32[1] [Infinity]');
  expect(inspect(tensor([]))).toBe('Tensor f32[0] []');
});

test('a pending tensor shows its operator and does not run', () => {
  expect(nodeInspect(exp(zeros([2, 3])))).toBe('Tensor f32[2, 3] = exp(f32[2, 3]), not computed yet');
});

test('a tensor that was given up says why', async () => {
  const x = tensor([1]);
  dispose({ params: x });
  expect(nodeInspect(x)).toBe("Tensor f32[1]: 'params' was disposed of");
  const device = await openDevice('reference');
  const y = tensor([1], { device });
  await realize([add(y, 1)], { donate: { w: y } });
  expect(nodeInspect(y)).toBe("Tensor f32[1]: 'w' was donated to realize()");
});

test('long axes of long tensors are shortened', async () => {
  const device = await openDevice('reference');
  const [x] = await realize([arange(2000)], { device });
  expect(inspect(x as NonNullable<typeof x>)).toBe('Tensor i32[2000] on reference [0, 1, 2, …, 1997, 1998, 1999]');
  const [wide] = await realize([arange(2000).reshape([2, 1000])], { device });
  expect(inspect(wide as NonNullable<typeof wide>)).toBe(
    'Tensor i32[2, 1000] on reference \n[[0, 1, 2, …, 997, 998, 999],\n [1000, 1001, 1002, …, 1997, 1998, 1999]]',
  );
  const [tall] = await realize([zeros([1001, 1])], { device });
  expect(inspect(tall as NonNullable<typeof tall>).split('\n').length).toBe(8);
  const [short] = await realize([arange(1000)], { device });
  expect(inspect(short as NonNullable<typeof short>)).toContain('500');
});

test('blocks of more axes are separated by blank lines', () => {
  expect(
    inspect(
      tensor([
        [[1], [2]],
        [[3], [4]],
      ]),
    ),
  ).toBe('Tensor f32[2, 2, 1] \n[[[1],\n  [2]],\n\n [[3],\n  [4]]]');
});

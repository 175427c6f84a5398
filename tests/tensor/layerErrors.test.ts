import { expect, test } from 'vitest';
import * as t from '../../tensor/index.ts';

const f32 = (...shape: number[]) => t.zeros(shape);
const i32 = (...shape: number[]) => t.zeros(shape, { dtype: 'i32' });
const bool = (...shape: number[]) => t.zeros(shape, { dtype: 'bool' });

type Attempt = readonly [what: string, f: () => unknown, message: string | RegExp];

function refused(title: string, attempts: readonly Attempt[]): void {
  test.each(attempts)(`${title}: %s`, (_, f, message) => {
    expect(f).toThrow(message);
    expect(f).toThrow(t.TensorError);
  });
}

refused('matmul', [
  [
    'inner sizes',
    () => t.matmul(f32(2, 3), f32(4, 5)),
    'matmul: f32[2, 3] × f32[4, 5]: the inner sizes 3 and 4 must be equal',
  ],
  ['vectors', () => t.matmul(f32(3), f32(4)), 'matmul: f32[3] × f32[4]: the inner sizes 3 and 4 must be equal'],
  ['a matrix and a vector', () => t.matmul(f32(2, 3), f32(2)), 'matmul: f32[2, 3] × f32[2]: the inner sizes 3 and 2'],
  ['batches', () => t.matmul(f32(2, 1, 3), f32(4, 3, 1)), 'matmul: shapes [2] and [4] do not broadcast'],
  ['scalars', () => t.matmul(f32(), f32(2)), 'matmul: f32[] × f32[2]: a scalar has no matrix product'],
  ['dtypes', () => t.matmul(f32(2, 2), i32(2, 2)), 'matmul: dtypes differ: f32[2, 2] and i32[2, 2]'],
  ['bools', () => t.matmul(bool(2, 2), bool(2, 2)), 'matmul: needs numbers, got bool[2, 2]'],
  ['linear', () => t.linear(f32(2, 3), f32(4, 5)), 'linear: f32[2, 3] needs a weight of shape [out, 3], got f32[4, 5]'],
  [
    'linear with a long bias',
    () => t.linear(f32(2, 3), f32(1, 3), f32(5)),
    'linear: the bias of f32[1, 3] must be f32[1], got f32[5]',
  ],
  [
    'linear with a short bias',
    () => t.linear(f32(2, 3), f32(4, 3), f32(1)),
    'linear: the bias of f32[4, 3] must be f32[4], got f32[1]',
  ],
  ['outer', () => t.outer(f32(2, 1), f32(2)), 'outer: needs two vectors, got f32[2, 1] and f32[2]'],
]);

refused('einsum', [
  ['operands', () => t.einsum('ij,jk->ik', f32(2, 3)), "einsum: 'ij,jk->ik' names 2 operands, but 1 were given"],
  ['rank', () => t.einsum('ij->i', f32(2)), "einsum: 'ij' in 'ij->i' does not fit the 1 axes of f32[2]"],
  ['too many axes', () => t.einsum('i->i', f32(2, 3)), "einsum: 'i' in 'i->i' does not fit the 2 axes of f32[2, 3]"],
  [
    'sizes',
    () => t.einsum('ij,jk->ik', f32(2, 3), f32(4, 5)),
    "einsum: label 'j' in 'ij,jk->ik' stands for 3 and for 4",
  ],
  ['repeated sizes', () => t.einsum('ii->i', f32(2, 3)), "label 'i' in 'ii->i' stands for 2 and for 3"],
  [
    'unknown label',
    () => t.einsum('i->j', f32(2)),
    "einsum: the result of 'i->j' may name each label of the operands once",
  ],
  ['label twice', () => t.einsum('i->ii', f32(2)), "einsum: the result of 'i->ii' may name"],
  ['symbols', () => t.einsum('i1->i', f32(2)), "einsum: cannot read 'i1' in 'i1->i'"],
  ['two ellipses', () => t.einsum('...i...->i', f32(2)), "einsum: cannot read '...i...'"],
  ['two arrows', () => t.einsum('i->i->i', f32(2)), 'einsum: '],
  [
    'ellipses that do not broadcast',
    () => t.einsum('...i,...i->...', f32(2, 3), f32(4, 3)),
    'einsum: shapes [2] and [4] do not broadcast',
  ],
]);

const image = f32(1, 4, 5, 5);
refused('conv', [
  [
    'dtypes',
    () => t.conv(image, t.zeros([2, 4, 1, 1], { dtype: 'f16' })),
    'conv: dtypes differ: f32[1, 4, 5, 5] and f16[2, 4, 1, 1]',
  ],
  [
    'ranks',
    () => t.conv(image, f32(2, 4, 1)),
    'conv: needs x [N, C, spatial…] and a weight [O, C/groups, kernel…], got f32[1, 4, 5, 5] and f32[2, 4, 1]',
  ],
  [
    'channels',
    () => t.conv(image, f32(2, 3, 1, 1)),
    'conv: with groups 1, f32[1, 4, 5, 5] needs a weight of shape [a multiple of 1, 4, …], got f32[2, 3, 1, 1]',
  ],
  ['groups', () => t.conv(image, f32(3, 2, 1, 1), { groups: 2 }), 'conv: with groups 2'],
  ['no groups', () => t.conv(image, f32(2, 4, 1, 1), { groups: 0 }), 'conv: with groups 0'],
  [
    'a kernel that is too large',
    () => t.conv(image, f32(2, 4, 6, 6)),
    'conv: the kernel of f32[2, 4, 6, 6] reaches over 6 elements, but f32[1, 4, 5, 5] has 5 with padding',
  ],
  [
    'a stride of 0',
    () => t.conv(image, f32(2, 4, 1, 1), { strides: [0, 1] }),
    'conv: strides [0, 1] must be 2 whole numbers',
  ],
  [
    'one stride for two axes',
    () => t.conv(image, f32(2, 4, 1, 1), { strides: [1] }),
    'conv: strides [1] must be 2 whole numbers',
  ],
  [
    'half a pixel',
    () => t.conv(image, f32(2, 4, 1, 1), { before: [0.5, 0] }),
    'conv: before [0.5, 0] must be 2 whole numbers',
  ],
  ['bools', () => t.conv(bool(1, 1, 2), bool(1, 1, 2)), 'conv: needs numbers'],
  [
    'conv2d of vectors',
    () => t.conv2d(f32(1, 4, 5), f32(2, 4, 1)),
    'conv2d: needs images [N, C, H, W] and a kernel of rank 4, got f32[1, 4, 5] and f32[2, 4, 1]',
  ],
  [
    'conv2d with a short bias',
    () => t.conv2d(image, f32(2, 4, 1, 1), { bias: f32(1) }),
    'conv2d: the bias for 2 output channels must be f32[2], got f32[1]',
  ],
  [
    'conv2d with a long bias',
    () => t.conv2d(image, f32(1, 4, 1, 1), { bias: f32(3) }),
    'conv2d: the bias for 1 output channels must be f32[1], got f32[3]',
  ],
  ['convTranspose2d of vectors', () => t.convTranspose2d(f32(1, 4, 5), f32(4, 2, 1)), 'convTranspose2d: needs images'],
  [
    'convTranspose2d by groups',
    () => t.convTranspose2d(f32(1, 3, 5, 5), f32(3, 2, 1, 1), { groups: 2 }),
    'convTranspose2d: the 3 input channels of f32[3, 2, 1, 1] do not divide into 2 groups',
  ],
  [
    'convTranspose2d with a bias',
    () => t.convTranspose2d(image, f32(4, 2, 1, 1), { bias: f32(4) }),
    'convTranspose2d: the bias for 2 output channels must be f32[2], got f32[4]',
  ],
]);

refused('spatial', [
  [
    'avgPool2d of vectors',
    () => t.avgPool2d(f32(2, 3), { kernel: 2 }),
    'avgPool2d: needs images [N, C, H, W], got f32[2, 3]',
  ],
  ['avgPool2d of integers', () => t.avgPool2d(i32(1, 1, 2, 2), { kernel: 2 }), 'avgPool2d: needs floats'],
  [
    'avgPool2d without a window',
    () => t.avgPool2d(image, { kernel: 0 }),
    'avgPool2d: kernel and stride must be whole numbers from 1',
  ],
  [
    'avgPool2d with too much padding',
    () => t.avgPool2d(image, { kernel: 2, padding: 2 }),
    'avgPool2d: kernel and stride must be whole numbers from 1, and padding smaller than the kernel',
  ],
  [
    'avgPool2d that does not fit',
    () => t.avgPool2d(image, { kernel: 6 }),
    'avgPool2d: a 6×6 window does not fit into f32[1, 4, 5, 5]',
  ],
  [
    'maxPool2d with too much padding',
    () => t.maxPool2d(image, { kernel: 2, padding: 2 }),
    'maxPool2d: kernel and stride must be whole numbers from 1, and padding smaller than the kernel',
  ],
  [
    'maxPool2d with half a stride',
    () => t.maxPool2d(image, { kernel: 2, stride: 0.5 }),
    'maxPool2d: kernel and stride',
  ],
  [
    'maxPool2d that does not fit',
    () => t.maxPool2d(image, { kernel: 6 }),
    'maxPool2d: a 6×6 window does not fit into f32[1, 4, 5, 5]',
  ],
  [
    'resizeNearest to nothing',
    () => t.resizeNearest(image, [0, 2]),
    'resizeNearest: cannot make images of 0 × 2 from f32[1, 4, 5, 5]',
  ],
  [
    'resizeBilinear from nothing',
    () => t.resizeBilinear(f32(1, 1, 0, 2), [2, 2]),
    'resizeBilinear: cannot make images of 2 × 2 from f32[1, 1, 0, 2]',
  ],
]);

refused('norms, losses and attention', [
  [
    'groupNorm',
    () => t.groupNorm(f32(2, 5), 2),
    'groupNorm: f32[2, 5] is not [batch, channels, …] with channels that divide into 2 groups',
  ],
  [
    'groupNorm by half a group',
    () => t.groupNorm(f32(2, 4), 0.5),
    'groupNorm: f32[2, 4] is not [batch, channels, …] with channels that divide into 0.5 groups',
  ],
  [
    'groupNorm weight',
    () => t.groupNorm(f32(2, 4), 2, { weight: f32(2) }),
    'groupNorm: weight and bias must have shape [4], got f32[2]',
  ],
  [
    'layerNorm',
    () => t.layerNorm(f32(2, 4), { axes: 3 }),
    'layerNorm: cannot normalise f32[2, 4] over its last 3 axes',
  ],
  [
    'layerNorm bias',
    () => t.layerNorm(f32(2, 4), { bias: f32(2, 4) }),
    'layerNorm: weight and bias must have shape [4], got f32[2, 4]',
  ],
  ['mseLoss', () => t.mseLoss(f32(2), f32(1)), 'mseLoss: shapes differ: f32[2] and f32[1]'],
  [
    'mseLoss of dtypes',
    () => t.mseLoss(f32(2), t.zeros([2], { dtype: 'f16' })),
    'mseLoss: dtypes differ: f32[2] and f16[2]',
  ],
  ['mseLoss of integers', () => t.mseLoss(i32(2), i32(2)), 'mseLoss: needs floats, got i32[2]'],
  ['l1Loss', () => t.l1Loss(f32(2, 1), f32(2)), 'l1Loss: shapes differ: f32[2, 1] and f32[2]'],
  [
    'binaryCrossEntropyWithLogits',
    () => t.binaryCrossEntropyWithLogits(f32(2), f32(3)),
    'binaryCrossEntropyWithLogits: shapes differ',
  ],
  [
    'crossEntropy',
    () => t.crossEntropy(f32(2, 3), i32(3)),
    'crossEntropy: needs logits [N, classes] and targets [N], got f32[2, 3] and i32[3]',
  ],
  [
    'attention shapes',
    () => t.scaledDotProductAttention(f32(2, 3), f32(2, 4), f32(2, 4)),
    'scaledDotProductAttention: q f32[2, 3], k f32[2, 4] and v f32[2, 4] must be [batch…, queries, dim]',
  ],
  [
    'attention dtypes',
    () => t.scaledDotProductAttention(t.zeros([2, 3], { dtype: 'f16' }), f32(2, 3), f32(2, 3)),
    'scaledDotProductAttention: dtypes differ: f16[2, 3], f32[2, 3] and f32[2, 3]',
  ],
  [
    'attention mask',
    () => t.scaledDotProductAttention(f32(2, 3), f32(2, 3), f32(2, 3), { mask: i32(2, 2) }),
    'scaledDotProductAttention: a mask is bool or f32, got i32[2, 2]',
  ],
]);

const wrong = (data: unknown) => () => t.tensor(data as t.Nested);
refused('creation', [
  [
    'ragged rows',
    wrong([[1, 2], [3]]),
    'tensor: nested arrays are ragged: one at level 1 has 1 entries, the first has 2',
  ],
  [
    'ragged deeper',
    wrong([
      [[1], [2]],
      [[3], [4, 5]],
    ]),
    'one at level 2 has 2 entries, the first has 1',
  ],
  ['ragged with nothing', wrong([[], [1]]), 'one at level 1 has 1 entries, the first has 0'],
  ['arrays beside numbers', wrong([1, [2]]), 'ragged: one at level 1 has 1 entries, the first has none'],
  ['numbers beside arrays', wrong([[1], 2]), 'tensor: expected an array at level 1, got 2'],
  ['text', wrong(['1']), 'tensor: expected a number at level 1, got 1'],
  ['nothing', wrong(null), 'tensor: expected a number at level 0, got null'],
  ['a hole', wrong([undefined]), 'tensor: expected a number at level 1, got undefined'],
  [
    'a shape that does not fit',
    () => t.tensor([1, 2, 3], { shape: [2, 2] }),
    'tensor: 3 elements do not fill the shape [2, 2], which has 4',
  ],
  [
    'half a size',
    () => t.tensor([1], { shape: [0.5, 2] }),
    'tensor: [0.5, 2] is not a shape: sizes are whole numbers from 0',
  ],
  ['a fraction in i32', () => t.tensor([0.5], { dtype: 'i32' }), 'tensor: 0.5 is not a value of i32'],
  ['NaN in i32', () => t.tensor([Number.NaN], { dtype: 'i32' }), 'tensor: NaN is not a value of i32'],
  ['2^31 in i32', () => t.tensor([2 ** 31], { dtype: 'i32' }), 'tensor: 2147483648 is not a value of i32'],
  ['−1 in u32', () => t.tensor(Int32Array.of(-1), { dtype: 'u32' }), 'tensor: -1 is not a value of u32'],
  ['2 in bool', () => t.tensor(Uint8Array.of(2)), 'tensor: 2 is not a value of bool'],
  [
    'bits of unknown halves',
    () => t.tensor(new Uint16Array(2)),
    "tensor: a Uint16Array does not say which dtype it holds; give one, for example { dtype: 'bf16' }",
  ],
  ['an array of another kind', () => t.tensor(new BigInt64Array(2) as never), 'tensor: a BigInt64Array does not say'],
  ['full of fractions', () => t.full([2], 0.5, { dtype: 'i32' }), 'full: 0.5 is not a value of i32'],
  ['a negative size', () => t.zeros([-1]), '[-1] is not a shape'],
  ['too large a shape', () => t.zeros([2 ** 21, 2 ** 21]), 'a tensor of shape [2097152, 2097152] is too large'],
  ['arange without a step', () => t.arange(0, 5, 0), 'arange: cannot go from 0 to 5 in steps of 0'],
  ['arange without an end', () => t.arange(0, Number.POSITIVE_INFINITY), 'arange: cannot go from 0 to Infinity'],
  ['arange of fractions in i32', () => t.arange(0, 1, 0.5, { dtype: 'i32' }), 'arange: 0.5 is not a value of i32'],
  ['arange of fractions in u32', () => t.arange(0, 1, 0.5, { dtype: 'u32' }), 'arange: 0.5 is not a value of u32'],
  ['linspace of −1 numbers', () => t.linspace(0, 1, -1), 'linspace: [-1] is not a shape'],
  ['eye of half a row', () => t.eye(0.5), 'eye: [0.5, 0.5] is not a shape'],
]);

test('an unknown device kind', async () => {
  await expect(t.openDevice('abacus' as 'reference')).rejects.toThrow("openDevice: there is no device kind 'abacus'");
});

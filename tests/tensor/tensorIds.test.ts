import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Tensor, zeros } from '../../tensor/index.ts';
import { inOrderOfCreation, NumbersByTensor } from '../../tensor/tensorIds.ts';

/** Tensors with `gap` others made between each two. */
function made(count: number, gap: number): Tensor[] {
  const tensors: Tensor[] = [];
  for (let i = 0; i < count; i++) {
    tensors.push(zeros([]));
    for (let j = 0; j < gap; j++) zeros([]);
  }
  return tensors;
}

test('tensors are sorted by creation', () => {
  const orders = fc.array(fc.double({ noNaN: true }), { maxLength: 20 });
  fc.assert(
    fc.property(orders, fc.nat(30), (order, gap) => {
      const tensors = made(order.length, gap);
      const mixed = order
        .map((rank, i) => ({ rank, tensor: tensors[i] as Tensor }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ tensor }) => tensor);
      expect(inOrderOfCreation(mixed).map(({ id }) => id)).toEqual(tensors.map(({ id }) => id));
    }),
  );
});

test('a tensor has the number set last, inside and outside of the table', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(30), fc.nat(20), (count, gap, others) => {
      const before = made(others, 0);
      const tensors = made(count, gap);
      const all = [...before, ...tensors, ...made(others, gap)];
      const numbers = new NumbersByTensor(tensors);
      for (const tensor of all) expect(numbers.get(tensor)).toBeUndefined();
      for (const sign of [-1, 1]) {
        all.forEach((tensor, i) => {
          numbers.set(tensor, sign * (i + 1));
        });
        expect(all.map((tensor) => numbers.get(tensor))).toEqual(all.map((_, i) => sign * (i + 1)));
      }
    }),
  );
});

import { isFloat, type ValueArray } from '../dtype.ts';
import { TensorError } from '../errors.ts';
import { stridesOf } from '../shape.ts';
import { type Tensor, typeOf } from '../tensor.ts';
import { input, type Kernels } from './kernel.ts';
import { walk } from './strided.ts';

/** Visits every index element with the offset in `x` that it points to. */
function forEachTarget(
  operator: string,
  x: Tensor,
  { tensor: index, values }: { tensor: Tensor; values: ValueArray },
  axis: number,
  visit: (position: number, target: number) => void,
): void {
  const strides = stridesOf(x.shape);
  const step = strides[axis] as number;
  const size = x.shape[axis] as number;
  const others = strides.map((stride, i) => (i === axis ? 0 : stride));
  walk(index.shape, others, (position, offset) => {
    const i = values[position] as number;
    if (i < 0 || i >= size) {
      throw new TensorError(
        `${operator}: index ${i} is outside axis ${axis} of ${typeOf(x)}: indices there are 0 to ${size - 1}`,
      );
    }
    visit(position, offset + i * step);
  });
}

export const indexing: Kernels<'gather' | 'scatterAdd'> = {
  gather: (call) => {
    const { tensor, values } = input(call, 0);
    forEachTarget('gather', tensor, input(call, 1), call.attributes.axis, (position, target) => {
      call.out[position] = values[target] as number;
    });
  },

  scatterAdd: (call) => {
    const { tensor, values } = input(call, 0);
    const { values: updates } = input(call, 2);
    // Sums of floats are rounded once, at the end; integers wrap on every store.
    const sums = isFloat(tensor.dtype) ? Float64Array.from(values) : values.slice();
    forEachTarget('scatterAdd', tensor, input(call, 1), call.attributes.axis, (position, target) => {
      sums[target] = (sums[target] as number) + (updates[position] as number);
    });
    call.out.set(sums);
  },
};

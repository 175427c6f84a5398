import { stridesOf } from '../shape.ts';
import { input, type Kernels } from './kernel.ts';
import { copyBlock, whole } from './strided.ts';

export const movement: Kernels<
  'constant' | 'iota' | 'reshape' | 'permute' | 'broadcastTo' | 'slice' | 'pad' | 'flip' | 'concat'
> = {
  constant: ({ out, attributes }) => {
    out.fill(attributes.value);
  },

  iota: ({ out, output, attributes: { axis } }) => {
    const stride = stridesOf(output.shape)[axis] as number;
    for (let i = 0; i < out.length; i++) out[i] = Math.floor(i / stride) % (output.shape[axis] as number);
  },

  reshape: (call) => {
    call.out.set(input(call, 0).values);
  },

  permute: (call) => {
    const { tensor, values } = input(call, 0);
    const own = stridesOf(tensor.shape);
    const strides = call.attributes.axes.map((axis) => own[axis] as number);
    copyBlock(call.output.shape, { values, offset: 0, strides }, whole(call.out, call.output.shape));
  },

  broadcastTo: (call) => {
    const { tensor, values } = input(call, 0);
    const strides = stridesOf(tensor.shape).map((stride, axis) => (tensor.shape[axis] === 1 ? 0 : stride));
    copyBlock(call.output.shape, { values, offset: 0, strides }, whole(call.out, call.output.shape));
  },

  slice: (call) => {
    const { tensor, values } = input(call, 0);
    const { starts, steps } = call.attributes;
    const own = stridesOf(tensor.shape);
    const offset = own.reduce((sum, stride, axis) => sum + stride * (starts[axis] as number), 0);
    const strides = own.map((stride, axis) => stride * (steps[axis] as number));
    copyBlock(call.output.shape, { values, offset, strides }, whole(call.out, call.output.shape));
  },

  pad: (call) => {
    const { tensor, values } = input(call, 0);
    const { before, interior, value } = call.attributes;
    const own = stridesOf(call.output.shape);
    const offset = own.reduce((sum, stride, axis) => sum + stride * (before[axis] as number), 0);
    const strides = own.map((stride, axis) => stride * ((interior[axis] as number) + 1));
    call.out.fill(value);
    copyBlock(tensor.shape, whole(values, tensor.shape), { values: call.out, offset, strides });
  },

  flip: (call) => {
    const { tensor, values } = input(call, 0);
    const { axes } = call.attributes;
    const own = stridesOf(tensor.shape);
    const offset = axes.reduce((sum, axis) => sum + (own[axis] as number) * ((tensor.shape[axis] as number) - 1), 0);
    const strides = own.map((stride, axis) => (axes.includes(axis) ? -stride : stride));
    copyBlock(call.output.shape, { values, offset, strides }, whole(call.out, call.output.shape));
  },

  concat: (call) => {
    const { axis } = call.attributes;
    const strides = stridesOf(call.output.shape);
    let start = 0;
    call.inputs.forEach((tensor, i) => {
      const offset = start * (strides[axis] as number);
      copyBlock(tensor.shape, whole(input(call, i).values, tensor.shape), { values: call.out, offset, strides });
      start += tensor.shape[axis] as number;
    });
  },
};

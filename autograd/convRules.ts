import { type ConvAttributes, conv, permute, reshape, type Tensor, zerosLike } from '../tensor/index.ts';
import { adjointKernel, dilated } from '../tensor/internal.ts';

/** The sizes of the spatial axes, from axis 2 on. */
const spatialOf = (x: Tensor): readonly number[] => x.shape.slice(2);

/**
 * ∂L/∂x of a convolution is a convolution of the cotangent with the mirrored kernel; strides and input dilation change
 * places. The padding before aligns output 0 with the last tap of the mirrored kernel; the padding after gives the
 * output the size of x.
 */
export function convInputGradient(g: Tensor, x: Tensor, weight: Tensor, attributes: ConvAttributes): Tensor {
  if (g.size === 0 || x.size === 0) return zerosLike(x);
  const { strides, inputDilation, kernelDilation, groups } = attributes;
  const reach = spatialOf(weight).map((size, axis) => dilated(size, kernelDilation[axis] as number));
  const before = reach.map((size, axis) => size - 1 - (attributes.before[axis] as number));
  const after = spatialOf(x).map((size, axis) => {
    const wanted = dilated(size, inputDilation[axis] as number) + (reach[axis] as number) - 1;
    return wanted - dilated(spatialOf(g)[axis] as number, strides[axis] as number) - (before[axis] as number);
  });
  return conv(g, adjointKernel(weight, groups), {
    strides: inputDilation,
    before,
    after,
    inputDilation: strides,
    kernelDilation,
    groups,
  });
}

/**
 * ∂L/∂w of a convolution is a convolution of x with the cotangent as the kernel: batch and channel axes change places, and
 * so do strides and kernel dilation.
 */
export function convKernelGradient(g: Tensor, x: Tensor, weight: Tensor, attributes: ConvAttributes): Tensor {
  if (g.size === 0 || weight.size === 0) return zerosLike(weight);
  const { strides, before, inputDilation, kernelDilation, groups } = attributes;
  const [batch, channels] = x.shape as readonly [number, number];
  const spatial = spatialOf(x);
  const axes = spatial.map((_, axis) => axis);
  // [N, groups·I, …] → [I, groups·N, …]: the channels of each group are the images of this group.
  const grouped = permute(reshape(x, [batch, groups, channels / groups, ...spatial]), [
    2,
    1,
    0,
    ...axes.map((axis) => axis + 3),
  ]);
  const images = reshape(grouped, [channels / groups, groups * batch, ...spatial]);
  const swap = [1, 0, ...axes.map((axis) => axis + 2)];
  const after = spatial.map((size, axis) => {
    const reach = dilated(spatialOf(g)[axis] as number, strides[axis] as number);
    const wanted = dilated(spatialOf(weight)[axis] as number, kernelDilation[axis] as number) + reach - 1;
    return wanted - dilated(size, inputDilation[axis] as number) - (before[axis] as number);
  });
  const gradient = conv(images, permute(g, swap), {
    strides: kernelDilation,
    before,
    after,
    inputDilation,
    kernelDilation: strides,
    groups,
  });
  return permute(gradient, swap);
}

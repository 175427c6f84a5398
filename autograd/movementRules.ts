import { type Attributes, padInterior, slice, type Tensor, zerosLike } from '../tensor/index.ts';

/** The gradient of a slice: the cotangent, padded before, after and between to the shape of x. */
export function sliceGradient(g: Tensor, x: Tensor, { starts, steps }: Attributes['slice']): Tensor {
  if (g.size === 0) return zerosLike(x);
  const reach = g.shape.map((size, axis) => (size - 1) * (steps[axis] as number) + 1);
  const after = x.shape.map((size, axis) => size - (starts[axis] as number) - (reach[axis] as number));
  return padInterior(
    g,
    starts,
    after,
    steps.map((step) => step - 1),
  );
}

/** The gradient of a pad: the elements of the cotangent at the places of x. */
export function padGradient(g: Tensor, x: Tensor, { before, interior }: Attributes['pad']): Tensor {
  if (x.size === 0) return zerosLike(x);
  const steps = interior.map((gap) => gap + 1);
  const stops = x.shape.map((size, axis) => (before[axis] as number) + (size - 1) * (steps[axis] as number) + 1);
  return slice(g, before, stops, steps);
}

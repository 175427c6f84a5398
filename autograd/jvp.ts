import { mapTree, sameShape, type Tensor, TensorError, treeLeaves, typeOf, zerosLike } from '../tensor/index.ts';
import { grad, vjp } from './vjp.ts';

/**
 * The Jacobian–vector product: the value of `f` and its derivative in the direction of the tangents, one tree per
 * argument. The pullback is linear in its cotangent, and the jvp is the transpose of this linear map, so forward mode
 * needs no rules of its own.
 * @throws TensorError for a tangent whose shape or dtype is not that of its argument
 */
export function jvp<Args extends readonly unknown[], Value>(
  f: (...args: Args) => Value,
  args: Args,
  tangents: Args,
): { value: Value; tangent: Value } {
  const directions = treeLeaves(tangents);
  treeLeaves(args).forEach((tensor, i) => {
    const direction = directions[i];
    if (direction === undefined || direction.dtype !== tensor.dtype || !sameShape(direction.shape, tensor.shape)) {
      const given = direction === undefined ? 'nothing' : typeOf(direction);
      throw new TensorError(`jvp: tangent ${i} must be ${typeOf(tensor)}, as the argument is; got ${given}`);
    }
  });
  const { value, pullback } = vjp(f, ...args);
  // The pullback is linear, so its derivative is the same at every cotangent.
  const anywhere = mapTree(value, (tensor) => zerosLike(tensor));
  const transpose = vjp((cotangent: Value) => pullback(cotangent), anywhere).pullback;
  const [tangent] = transpose(tangents as Parameters<typeof transpose>[0]);
  return { value, tangent };
}

/** The Hessian–vector product ∇²f(x)·v of a scalar function of one tree, without the Hessian. v is a tree like x. */
export function hvp<P>(f: (x: P) => Tensor, x: P, v: P): P {
  return jvp(grad(f), [x], [v]).tangent;
}

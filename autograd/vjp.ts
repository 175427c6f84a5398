import {
  flattenTree,
  isFloat,
  onesLike,
  replaceLeaves,
  sameShape,
  type Tensor,
  Tensor as TensorClass,
  TensorError,
  treeLeaves,
  typeOf,
  zerosLike,
} from '../tensor/index.ts';
import { backward } from './backward.ts';
import { asVariables } from './variables.ts';

/** A value, and the map from its cotangent (a tree like the value) to gradients of the arguments. */
export interface Vjp<Args extends readonly unknown[], Value> {
  readonly value: Value;
  /** The gradients of Σ ⟨value, cotangent⟩ with respect to each argument; zeros for one without influence on the value. */
  readonly pullback: (cotangent: Value) => { -readonly [I in keyof Args]: Args[I] };
}

/**
 * The vector–Jacobian product: applies `f` to the arguments (trees of float tensors) and returns its value and pullback.
 * The pullback builds a graph, so it can be differentiated again.
 * @throws TensorError for arguments that are not floats; the pullback, for a cotangent whose shape or dtype is not that of
 * the value
 */
export function vjp<Args extends readonly unknown[], Value>(
  f: (...args: Args) => Value,
  ...args: Args
): Vjp<Args, Value> {
  const { variables, tree } = asVariables('vjp', args);
  const value = f(...tree);
  const outputs = flattenTree(value);
  const pullback = (cotangent: Value) => {
    const cotangents = treeLeaves(cotangent);
    outputs.forEach(({ path, tensor }, i) => {
      const given = cotangents[i];
      if (given === undefined || given.dtype !== tensor.dtype || !sameShape(given.shape, tensor.shape)) {
        const name = path === '' ? 'the value' : `'${path}' of the value`;
        throw new TensorError(
          `vjp: the cotangent of ${name} must be ${typeOf(tensor)}, got ${given === undefined ? 'nothing' : typeOf(given)}`,
        );
      }
    });
    const gradients = backward(
      outputs.map(({ tensor }) => tensor),
      cotangents,
      variables,
    );
    return replaceLeaves(
      args,
      variables.map((variable, i) => gradients[i] ?? zerosLike(variable)),
    ) as { -readonly [I in keyof Args]: Args[I] };
  };
  return { value, pullback };
}

/** Throws unless the loss is a float scalar. */
function checkLoss(operator: string, loss: unknown): Tensor {
  if (!(loss instanceof TensorClass)) {
    throw new TensorError(
      `${operator}: the function must return a scalar tensor; with { hasAux: true }, [scalar, anything]`,
    );
  }
  if (loss.rank !== 0 || !isFloat(loss.dtype)) {
    throw new TensorError(
      `${operator}: the function must return a float scalar, got ${typeOf(loss)}; reduce it, for example with mean(), or use vjp`,
    );
  }
  return loss;
}

/** The option of `valueAndGrad` for functions that return more than the loss. */
export interface AuxOption {
  /** The function returns [loss, aux]; aux may be anything and is returned as it is. */
  readonly hasAux: true;
}

/**
 * Turns a function that returns a float scalar into one that returns the scalar and its gradient with respect to the first
 * argument, a tree of float tensors (JAX's `value_and_grad`). Later arguments are constants and may be anything.
 * @throws TensorError, when called, unless the first argument holds floats and the function returns a float scalar
 */
export function valueAndGrad<P, Rest extends readonly unknown[]>(
  f: (x: P, ...rest: Rest) => Tensor,
): (x: P, ...rest: Rest) => [value: Tensor, gradients: P];
export function valueAndGrad<P, Rest extends readonly unknown[], Aux>(
  f: (x: P, ...rest: Rest) => readonly [Tensor, Aux],
  options: AuxOption,
): (x: P, ...rest: Rest) => [value: [Tensor, Aux], gradients: P];
export function valueAndGrad<P, Rest extends readonly unknown[], Aux>(
  f: (x: P, ...rest: Rest) => Tensor | readonly [Tensor, Aux],
  options?: AuxOption,
): (x: P, ...rest: Rest) => [value: Tensor | [Tensor, Aux], gradients: P] {
  return (x, ...rest) => {
    const { variables, tree } = asVariables('grad', x);
    const result = f(tree, ...rest);
    const [value, aux] = options?.hasAux && Array.isArray(result) ? (result as [Tensor, Aux]) : [result, undefined];
    const loss = checkLoss('grad', value);
    const gradients = backward([loss], [onesLike(loss)], variables);
    const filled = replaceLeaves(
      x,
      variables.map((variable, i) => gradients[i] ?? zerosLike(variable)),
    );
    return [options?.hasAux ? [loss, aux as Aux] : loss, filled];
  };
}

/** The gradient of a scalar function with respect to its first argument; see `valueAndGrad` (JAX's `grad`). */
export function grad<P, Rest extends readonly unknown[]>(
  f: (x: P, ...rest: Rest) => Tensor,
): (x: P, ...rest: Rest) => P {
  return (x, ...rest) => valueAndGrad(f)(x, ...rest)[1];
}

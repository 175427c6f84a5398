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

/** A value and the map from its cotangent (a tree like the value) to gradients of the arguments. */
export interface Vjp<Args extends readonly unknown[], Value> {
  readonly value: Value;
  /** Σ ⟨value, cotangent⟩ differentiated by each argument; zeros where the value does not depend on one. */
  readonly pullback: (cotangent: Value) => { -readonly [I in keyof Args]: Args[I] };
}

/**
 * The vector–Jacobian product: evaluates `f` at the arguments (trees of float tensors) and returns its value with the
 * pullback. Everything is a graph, so the pullback can be differentiated again.
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

export interface AuxOption {
  /** The function returns [loss, anything else], and the latter is handed through undifferentiated. */
  readonly hasAux: true;
}

/**
 * A function's value together with the gradient of that value by the first argument, a tree of float tensors. Later
 * arguments are constants and may be anything.
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

/** The gradient of a scalar function by its first argument, as a function of the same arguments. */
export function grad<P, Rest extends readonly unknown[]>(
  f: (x: P, ...rest: Rest) => Tensor,
): (x: P, ...rest: Rest) => P {
  return (x, ...rest) => valueAndGrad(f)(x, ...rest)[1];
}

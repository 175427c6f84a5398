import * as tensorLayer from '../../../tensor/index.ts';

type Layer = typeof tensorLayer;
type Tensor = tensorLayer.Tensor;

const operators: Layer = tensorLayer;

/** A tensor and the code that makes it. */
export interface Term {
  readonly tensor: Tensor;
  readonly code: string;
}

type Lifted<T> = T extends Tensor ? Term : T extends readonly Tensor[] ? readonly Term[] : T;
type LiftedAll<Args extends readonly unknown[]> = { [I in keyof Args]: Lifted<Args[I]> };

/** Names of operators that return one tensor. */
export type OperatorName = {
  [N in keyof Layer]: Layer[N] extends (...args: never[]) => Tensor ? N : never;
}[keyof Layer];

type OperatorArgs<N extends OperatorName> = Layer[N] extends (...args: infer Args) => Tensor ? Args : never;

const isTerm = (value: unknown): value is Term =>
  typeof value === 'object' && value !== null && 'tensor' in value && 'code' in value;

function lower(value: unknown): unknown {
  if (isTerm(value)) return value.tensor;
  return Array.isArray(value) ? value.map(lower) : value;
}

function print(value: unknown): string {
  if (isTerm(value)) return value.code;
  if (Array.isArray(value)) return `[${value.map(print).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value)
      .map(([key, entry]) => `${key}: ${print(entry)}`)
      .join(', ')} }`;
  }
  return typeof value === 'string' ? `'${value}'` : String(value);
}

/** Applies an operator of the tensor layer and records the call as code. */
export function call<N extends OperatorName>(name: N, ...args: LiftedAll<OperatorArgs<N>>): Term {
  // The lifted arguments are those of the operator once terms are replaced by their tensors.
  const operator = operators[name] as unknown as (...args: readonly unknown[]) => Tensor;
  return { tensor: operator(...args.map(lower)), code: `${name}(${args.map(print).join(', ')})` };
}

/** Divides a float term by a power of two that makes up for a growth of its magnitude. */
export function tamed(term: Term, growth: number): Term {
  if (growth <= 1 || !tensorLayer.isFloat(term.tensor.dtype)) return term;
  return call('mul', term, 2 ** -Math.ceil(Math.log2(growth)));
}

/** The elements of a non-empty term in another shape, repeated or cut off as needed. */
export function fitted(term: Term, shape: tensorLayer.Shape): Term {
  const count = tensorLayer.sizeOf(shape);
  if (tensorLayer.sameShape(term.tensor.shape, shape)) return term;
  if (term.tensor.size === count) return call('reshape', term, shape);
  const flat = term.tensor.rank === 1 ? term : call('reshape', term, [term.tensor.size]);
  const copies = Math.ceil(count / term.tensor.size);
  const enough = copies > 1 ? call('repeat', flat, [copies]) : flat;
  const cut = enough.tensor.size > count ? call('slice', enough, [0], [count]) : enough;
  return shape.length === 1 ? cut : call('reshape', cut, shape);
}

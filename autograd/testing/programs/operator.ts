import { type DType, isFloat, type Tensor } from '../../../tensor/index.ts';
import type { Term } from './terms.ts';

/** The source of an operator's operands and parameters, which all follow from the step's picks. */
export interface Supply {
  /** One of the accepted tensors made so far, the latest for pick 0; `undefined` if there is none. */
  readonly operand: (accept: (x: Tensor) => boolean) => Term | undefined;
  /** A number from 0 to count − 1. */
  readonly pick: (count: number) => number;
  /** The dtypes that the program may use. */
  readonly dtypes: readonly DType[];
}

/** An operator that a step of a program can apply. */
export interface ProgramOperator {
  /** True if it is twice differentiable at every point that a program can reach. */
  readonly smooth: boolean;
  /** The dtype of its result, if other than that of its operands. */
  readonly gives?: DType;
  /** `undefined` if no tensor made so far can be its operand. Maps floats of magnitude up to 2 to such floats. */
  readonly build: (supply: Supply) => Term | undefined;
}

export const anything = (): boolean => true;
export const float = (x: Tensor): boolean => isFloat(x.dtype);
export const number = (x: Tensor): boolean => x.dtype !== 'bool';
export const bool = (x: Tensor): boolean => x.dtype === 'bool';
export const filled =
  (accept: (x: Tensor) => boolean) =>
  (x: Tensor): boolean =>
    x.size > 0 && accept(x);
/** Accepts tensors of rank 1 and more only. */
export const ranked =
  (accept: (x: Tensor) => boolean) =>
  (x: Tensor): boolean =>
    x.rank > 0 && accept(x);

/** An operator of one operand. */
export function one(
  smooth: boolean,
  accept: (x: Tensor) => boolean,
  make: (x: Term, supply: Supply) => Term | undefined,
  gives?: DType,
): ProgramOperator {
  const build = (supply: Supply) => {
    const x = supply.operand(accept);
    return x === undefined ? undefined : make(x, supply);
  };
  return gives === undefined ? { smooth, build } : { smooth, gives, build };
}

/** An operator of two operands of the same dtype, the second of which `fits` the first. Each tensor must fit itself. */
export function two(
  smooth: boolean,
  accept: (x: Tensor) => boolean,
  fits: (a: Tensor, b: Tensor) => boolean,
  make: (a: Term, b: Term, supply: Supply) => Term | undefined,
  gives?: DType,
): ProgramOperator {
  return one(
    smooth,
    accept,
    (a, supply) => {
      const b = supply.operand((x) => x.dtype === a.tensor.dtype && accept(x) && fits(a.tensor, x));
      return b === undefined ? undefined : make(a, b, supply);
    },
    gives,
  );
}

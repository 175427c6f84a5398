import { type DType, isFloat, type Tensor } from '../../../tensor/index.ts';
import type { Term } from './terms.ts';

/** Where an operator gets its operands and parameters from. Every answer depends on the step's naturals alone. */
export interface Supply {
  /** One of the tensors made so far that is accepted, the latest for 0; `undefined` if there is none. */
  readonly operand: (accept: (x: Tensor) => boolean) => Term | undefined;
  /** A number from 0 to count − 1. */
  readonly pick: (count: number) => number;
  /** The dtypes that the program may use. */
  readonly dtypes: readonly DType[];
}

/** How a step of a program is carried out. */
export interface ProgramOperator {
  /** Whether it is differentiable, twice, at every point that a program can reach. */
  readonly smooth: boolean;
  /** The dtype of its result where that is not the dtype of its operands. */
  readonly gives?: DType;
  /** `undefined` where nothing made so far can be its operand. Floats of magnitude up to 2 give such floats again. */
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
/** Has an axis to work along. */
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

/** An operator of two operands of one dtype, the second of which `fits` the first; each tensor has to fit itself. */
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

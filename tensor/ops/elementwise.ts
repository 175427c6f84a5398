import { isFloat } from '../dtype.ts';
import { TensorError } from '../errors.ts';
import { type BinaryPrimitive, noAttributes, type UnaryPrimitive } from '../primitives.ts';
import { broadcastShapes } from '../shape.ts';
import { makeNode, type Tensor, typeOf } from '../tensor.ts';
import {
  broadcastOperands,
  broadcastTo,
  cast,
  checkBool,
  checkFloat,
  checkNumeric,
  inFloat32,
  type Operand,
} from './operands.ts';

const float = (primitive: UnaryPrimitive) => {
  return (x: Tensor): Tensor => {
    checkFloat(primitive, x);
    return makeNode(primitive, [x], noAttributes, x.shape, x.dtype);
  };
};

const arithmetic = (primitive: BinaryPrimitive) => {
  return (a: Operand, b: Operand): Tensor => {
    const inputs = broadcastOperands(primitive, [a, b]);
    const x = inputs[0] as Tensor;
    checkNumeric(primitive, x);
    return makeNode(primitive, inputs, noAttributes, x.shape, x.dtype);
  };
};

/** e^x. */
export const exp: (x: Tensor) => Tensor = float('exp');
/** e^x − 1, accurate near 0. */
export const expm1: (x: Tensor) => Tensor = float('expm1');
/** The natural logarithm; −∞ at 0, NaN for negative x. */
export const log: (x: Tensor) => Tensor = float('log');
/** log(1 + x), accurate near 0. */
export const log1p: (x: Tensor) => Tensor = float('log1p');
/** The square root; NaN for negative x. The gradient at 0 is infinite, as in PyTorch. */
export const sqrt: (x: Tensor) => Tensor = float('sqrt');
/** The sine of an angle in radians. */
export const sin: (x: Tensor) => Tensor = float('sin');
/** The cosine of an angle in radians. */
export const cos: (x: Tensor) => Tensor = float('cos');
/** The hyperbolic tangent. */
export const tanh: (x: Tensor) => Tensor = float('tanh');
/** σ(x) = 1 / (1 + e^−x). */
export const sigmoid: (x: Tensor) => Tensor = float('sigmoid');
/** log(1 + e^x), without overflow. */
export const softplus: (x: Tensor) => Tensor = float('softplus');
/** The Gauss error function, 2/√π·∫₀ˣ e^−t² dt. */
export const erf: (x: Tensor) => Tensor = float('erf');

/** −x; integers wrap. */
export function neg(x: Tensor): Tensor {
  checkNumeric('neg', x);
  return makeNode('neg', [x], noAttributes, x.shape, x.dtype);
}

/** a + b; integers wrap. */
export const add: (a: Operand, b: Operand) => Tensor = arithmetic('add');
/** a − b; integers wrap. */
export const sub: (a: Operand, b: Operand) => Tensor = arithmetic('sub');
/** a·b; integers wrap. */
export const mul: (a: Operand, b: Operand) => Tensor = arithmetic('mul');
/** a / b. Integers truncate toward zero; an integer divided by 0 is 0. */
export const div: (a: Operand, b: Operand) => Tensor = arithmetic('div');
/**
 * The larger of a and b, NaN if either is NaN. Where they tie, each gets half of the gradient; where one is NaN, each
 * gets all of it, as in PyTorch's `maximum`.
 */
export const maximum: (a: Operand, b: Operand) => Tensor = arithmetic('maximum');
/** The smaller of a and b; NaN and gradients as for `maximum`. */
export const minimum: (a: Operand, b: Operand) => Tensor = arithmetic('minimum');

/** a^b, floats only. */
export function pow(a: Operand, b: Operand): Tensor {
  const [x, y] = broadcastOperands('pow', [a, b]) as [Tensor, Tensor];
  checkFloat('pow', x);
  return makeNode('pow', [x, y], noAttributes, x.shape, x.dtype);
}

/** x². */
export const square = (x: Tensor): Tensor => mul(x, x);
/** 1 / x. */
export const reciprocal = (x: Tensor): Tensor => div(1, x);
/** 1 / √x. */
export function rsqrt(x: Tensor): Tensor {
  checkFloat('rsqrt', x);
  return inFloat32(x, (wide) => reciprocal(sqrt(wide)));
}

/** The tangent of an angle in radians. */
export function tan(x: Tensor): Tensor {
  checkFloat('tan', x);
  return inFloat32(x, (wide) => div(sin(wide), cos(wide)));
}

/** |x|. The gradient at 0 is 0. */
export function abs(x: Tensor): Tensor {
  checkNumeric('abs', x);
  return x.dtype === 'u32' ? x : maximum(x, neg(x));
}

/** The sign of x: −1, 0 or 1; 0 for NaN. The gradient is zero. */
export function sign(x: Tensor): Tensor {
  checkNumeric('sign', x);
  return sub(cast(greater(x, 0), x.dtype), cast(less(x, 0), x.dtype));
}

/** The largest whole number not above x. The gradient is zero, here and for `ceil`, `trunc` and `round`. */
export function floor(x: Tensor): Tensor {
  checkNumeric('floor', x);
  return isFloat(x.dtype) ? makeNode('floor', [x], noAttributes, x.shape, x.dtype) : x;
}

/** The smallest whole number not below x. */
export function ceil(x: Tensor): Tensor {
  checkNumeric('ceil', x);
  return isFloat(x.dtype) ? neg(floor(neg(x))) : x;
}

/** x without its fraction. */
export function trunc(x: Tensor): Tensor {
  checkNumeric('trunc', x);
  return isFloat(x.dtype) ? where(less(x, 0), ceil(x), floor(x)) : x;
}

/** The nearest whole number, the even one of two equally near, as in PyTorch's `round`. */
export function round(x: Tensor): Tensor {
  checkNumeric('round', x);
  if (!isFloat(x.dtype)) return x;
  const down = floor(x);
  const rest = sub(x, down);
  const half = mul(down, 0.5);
  const even = equal(floor(half), half);
  const stay = logicalOr(less(rest, 0.5), logicalAnd(equal(rest, 0.5), even));
  return where(logicalOr(stay, logicalNot(isFinite(x))), down, add(down, 1));
}

/**
 * a − ⌊a/b⌋·b, rounded once (PyTorch's `remainder`, Python's `%`): the result has the sign of b. For b = 0 it is NaN, for
 * integers a. For an infinite b it is a or, where the signs differ, b.
 */
export function remainder(a: Operand, b: Operand): Tensor {
  const [x, y] = broadcastOperands('remainder', [a, b]) as [Tensor, Tensor];
  checkNumeric('remainder', x);
  if (isFloat(x.dtype)) return makeNode('remainder', [x, y], noAttributes, x.shape, x.dtype);
  const rest = sub(x, mul(div(x, y), y));
  if (x.dtype !== 'i32') return rest;
  // Integer division truncates toward zero; where the signs differ, the rest is one divisor off.
  const wrongSide = logicalAnd(notEqual(rest, 0), notEqual(less(rest, 0), less(y, 0)));
  return where(wrongSide, add(rest, y), rest);
}

/** True where a = b; NaN equals nothing. */
export function equal(a: Operand, b: Operand): Tensor {
  const [x, y] = broadcastOperands('equal', [a, b]) as [Tensor, Tensor];
  return makeNode('equal', [x, y], noAttributes, x.shape, 'bool');
}

/** True where a < b; false where either is NaN. */
export function less(a: Operand, b: Operand): Tensor {
  const [x, y] = broadcastOperands('less', [a, b]) as [Tensor, Tensor];
  checkNumeric('less', x);
  return makeNode('less', [x, y], noAttributes, x.shape, 'bool');
}

/** True where a ≠ b, and where either is NaN. */
export function notEqual(a: Operand, b: Operand): Tensor {
  const [x, y] = broadcastOperands('notEqual', [a, b]) as [Tensor, Tensor];
  return logicalNot(equal(x, y));
}

const ordered = (operator: string, compare: (x: Tensor, y: Tensor) => Tensor) => {
  return (a: Operand, b: Operand): Tensor => {
    const [x, y] = broadcastOperands(operator, [a, b]) as [Tensor, Tensor];
    checkNumeric(operator, x);
    return compare(x, y);
  };
};

/** True where a > b; false where either is NaN. */
export const greater: (a: Operand, b: Operand) => Tensor = ordered('greater', (x, y) => less(y, x));
/** True where a ≤ b; false where either is NaN. */
export const lessEqual: (a: Operand, b: Operand) => Tensor = ordered('lessEqual', (x, y) =>
  logicalOr(less(x, y), equal(x, y)),
);
/** True where a ≥ b; false where either is NaN. */
export const greaterEqual: (a: Operand, b: Operand) => Tensor = ordered('greaterEqual', (x, y) => lessEqual(y, x));

const logical = (operator: string, primitive: 'minimum' | 'maximum') => {
  return (a: Operand, b: Operand): Tensor => {
    const [x, y] = broadcastOperands(operator, [a, b]) as [Tensor, Tensor];
    checkBool(operator, x);
    return makeNode(primitive, [x, y], noAttributes, x.shape, 'bool');
  };
};

/** True where a and b are true; bool only. */
export const logicalAnd: (a: Operand, b: Operand) => Tensor = logical('logicalAnd', 'minimum');
/** True where a or b is true; bool only. */
export const logicalOr: (a: Operand, b: Operand) => Tensor = logical('logicalOr', 'maximum');

/** True where x is false; bool only. */
export function logicalNot(x: Tensor): Tensor {
  checkBool('logicalNot', x);
  return equal(x, false);
}

/** True where x is NaN. */
export function isNaN(x: Tensor): Tensor {
  checkFloat('isNaN', x);
  return makeNode('isNaN', [x], noAttributes, x.shape, 'bool');
}

/** True where x is neither infinite nor NaN. */
export function isFinite(x: Tensor): Tensor {
  checkFloat('isFinite', x);
  return makeNode('isFinite', [x], noAttributes, x.shape, 'bool');
}

/**
 * a where the condition (bool) is true, else b; all three broadcast (PyTorch's `where`). The branch not taken gets a
 * gradient of zero. If the function that computes that branch has an infinite derivative there, the gradient is
 * 0·∞ = NaN, as in PyTorch: guard the function's input, not its output.
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  checkBool('where', condition);
  const [x, y] = broadcastOperands('where', [a, b]) as [Tensor, Tensor];
  const shape = broadcastShapes('where', condition.shape, x.shape);
  const inputs = [condition, x, y].map((input) => broadcastTo(input, shape));
  return makeNode('where', inputs, noAttributes, shape, x.dtype);
}

/** Bounds for `clamp`; at least one. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/**
 * x limited to [min, max] (PyTorch's `clamp`). The gradient is 1 inside and on the bounds, else 0; NaN stays NaN.
 * @throws TensorError without any bound, and where min is above max
 */
export function clamp(x: Tensor, bounds: Bounds | number, max?: number): Tensor {
  const { min: low, max: high } = typeof bounds === 'number' ? { min: bounds, max } : bounds;
  if (low === undefined && high === undefined)
    throw new TensorError(`clamp: give a min, a max or both for ${typeOf(x)}`);
  if (low !== undefined && high !== undefined && low > high)
    throw new TensorError(`clamp: min ${low} is above max ${high}`);
  const raised = low === undefined ? x : where(less(x, low), low, x);
  return high === undefined ? raised : where(greater(raised, high), high, raised);
}

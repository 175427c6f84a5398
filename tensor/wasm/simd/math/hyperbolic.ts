import { type V128, v128 } from '../../assembler/instructions.ts';
import { expm1, expNormal } from './exp.ts';
import { double, polynomial, signOf, single } from './format.ts';
import { evaluate, type VectorFunction } from './steps.ts';

/** (tanh x − x) / x³ in x², for x ≤ 0.625; minimax, leaves a relative error of 2^-26.8 of tanh x. */
const cubic = [-0.333332807, 0.133314416, -0.0537397154, 0.020639088, -0.00570498686];

/** tanh of f32 lanes: a polynomial up to 0.625, 1 − 2/(e^2x + 1) above. */
export const tanhSingle: VectorFunction = (scope, x) =>
  evaluate(scope, (steps) => {
    const { float } = single;
    const input = steps.bind(x);
    const magnitude = steps.bind(float.abs(input));
    const square = steps.bind(float.mul(magnitude, magnitude));
    const cube = float.mul(magnitude, square);
    const small = float.add(magnitude, float.mul(cube, polynomial(single, steps, square, cubic)));
    // From 9.1 on, the result is 1.
    const bounded = steps.bind(float.pmin(magnitude, float.const(10)));
    const e = expNormal(single, steps, steps.bind(float.add(bounded, bounded)));
    const large = float.sub(float.const(1), float.div(float.const(2), float.add(e, float.const(1))));
    const isSmall = float.lt(magnitude, float.const(0.625));
    return v128.or(v128.bitselect(small, large, isSmall), signOf(single, input));
  });

/** tanh of f64 lanes, with t = e^2x − 1: t/(t + 2) up to 0.55, 1 − 2/(t + 2) above. */
export const tanhDouble: VectorFunction = (scope, x) =>
  evaluate(scope, (steps) => {
    const { float } = double;
    const input = steps.bind(x);
    const magnitude = steps.bind(float.abs(input));
    // From 19.1 on, the result is 1.
    const bounded = steps.bind(float.pmin(magnitude, float.const(22)));
    const t = steps.bind(expm1(double)(steps.scope, float.add(bounded, bounded)));
    const isSmall = steps.bind(float.lt(magnitude, float.const(0.55)));
    const choose = (small: V128, large: number): V128 => v128.bitselect(small, float.const(large), isSmall);
    const sum = steps.bind(float.add(t, float.const(2)));
    const quotient = steps.bind(float.div(choose(t, -2), sum));
    // The rounding error of the sum, divided by the sum. Where it matters, 1/sum is between ⅓ and ½, about 0.4.
    const lost = float.mul(float.sub(t, float.sub(sum, float.const(2))), float.const(0.4));
    const exact = float.sub(quotient, float.mul(quotient, lost));
    return v128.or(float.add(exact, choose(float.const(0), 1)), signOf(double, input));
  });

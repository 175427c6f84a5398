/**
 * Automatic differentiation: graphs to graphs. Nothing is recorded and nothing is changed; a derivative is a new graph
 * made by walking an old one backwards.
 *
 *   rules                one gradient rule for each primitive, written in public operators
 *   backward             the walk
 *   vjp, grad            reverse mode
 *   jvp, hvp             forward mode, as the transpose of the reverse
 *   jacobian, hessian    all partial derivatives
 *   customGradient       calls with a rule of their own; `checkpoint` is one that computes again
 */

export { stopGradient } from '../tensor/index.ts';
export { type CallContext, checkpoint, customGradient } from './customGradient.ts';
export { hessian, jacobian } from './jacobian.ts';
export { hvp, jvp } from './jvp.ts';
export { type AuxOption, grad, type Vjp, valueAndGrad, vjp } from './vjp.ts';

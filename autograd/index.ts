/**
 * Automatic differentiation of graphs: no tape, no mutation. A derivative is a new graph, built by walking a graph
 * backwards.
 *
 *   rules                one gradient rule per primitive, written in operators
 *   backward             the walk that applies the rules
 *   vjp, grad            reverse mode
 *   jvp, hvp             forward mode, as the transpose of the reverse
 *   jacobian, hessian    all partial derivatives
 *   customGradient       functions with their own rule; `checkpoint` recomputes
 */

export { stopGradient } from '../tensor/index.ts';
export { type CallContext, checkpoint, customGradient } from './customGradient.ts';
export { hessian, jacobian } from './jacobian.ts';
export { hvp, jvp } from './jvp.ts';
export { type AuxOption, grad, type Vjp, valueAndGrad, vjp } from './vjp.ts';

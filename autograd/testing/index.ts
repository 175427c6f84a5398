/**
 * Tools for testing code that computes gradients, yours or this library's:
 *
 *   checkGradients           gradients of tensor functions against central differences, first and second order
 *   checkGradientFunction    the same for plain functions of vectors, of any library
 *   shapes, tensors, views   fast-check arbitraries that shrink and print as code
 *   programs                 whole random programs as data
 *   jacobian, hessian        all partial derivatives, for small functions
 */

export { hessian, jacobian } from '../jacobian.ts';
export {
  checkGradientFunction,
  type GradientFunction,
  type GradientFunctionOptions,
} from './checkGradientFunction.ts';
export { checkGradients, type GradientCheckOptions, type GradientProvider } from './checkGradients.ts';
export * from './programs/index.ts';
export { type Comparison, GradientCheckError, type GradientReport } from './report.ts';
export { axes, broadcastableShapes, type ShapeOptions, shapes, sizes } from './shapes.ts';
export {
  dtypeArbitrary,
  elements,
  printable,
  type TensorArbitraryOptions,
  tensors,
  type ValueOptions,
} from './tensors.ts';
export { type View, type ViewOptions, views } from './views.ts';

import type { Attributes, Primitive, Tensor } from '../tensor/index.ts';

/** The argument of a rule: a node and the cotangent of its output. */
export interface RuleContext<P extends Primitive> {
  readonly cotangent: Tensor;
  readonly output: Tensor;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes[P];
  /** Gradients of all inputs by differentiating an equal composition of other primitives. */
  composed(composition: (...inputs: readonly Tensor[]) => Tensor): readonly Gradient[];
}

/** The gradient of one input, built only if it is needed. */
export type Gradient = () => Tensor;

/**
 * Returns the gradient of each input, `undefined` for zero. Rules are written in operators, so they can be differentiated
 * again.
 */
export type Rule<P extends Primitive> = (context: RuleContext<P>) => readonly (Gradient | undefined)[];

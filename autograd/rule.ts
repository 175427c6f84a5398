import type { Attributes, Primitive, Tensor } from '../tensor/index.ts';

/** What a rule sees: the node that was computed, and the cotangent of its output. */
export interface RuleContext<P extends Primitive> {
  readonly cotangent: Tensor;
  readonly output: Tensor;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes[P];
  /** The gradients of all inputs that a composition of other primitives, equal to this one, has. */
  composed(composition: (...inputs: readonly Tensor[]) => Tensor): readonly Gradient[];
}

/** The gradient of one input, made only if somebody needs it. */
export type Gradient = () => Tensor;

/**
 * For each input its gradient, `undefined` where it is zero everywhere. Rules are written in public operators, so
 * they can be differentiated again.
 */
export type Rule<P extends Primitive> = (context: RuleContext<P>) => readonly (Gradient | undefined)[];

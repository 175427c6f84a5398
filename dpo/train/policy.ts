import { attachLora, initLora, type LoraAdapters, type LoraOptions } from '../../nn/index.ts';
import { copy, type Tensor } from '../../tensor/index.ts';

/**
 * The trained part T of a model with parameters P, and the reference that the model is compared with. Full training trains a
 * copy of all parameters, and the given ones stay frozen as the reference. With LoRA the frozen parameters are both the
 * policy's base and, without adapters, the reference.
 */
export interface Policy<P, T> {
  /** The trained part before the first step. */
  readonly initial: T;
  /** The policy's parameters with this trained part. */
  parameters(trained: T): P;
  /**
   * The frozen reference; undefined where the objective needs none, or its errors were computed before the first step.
   */
  readonly reference: P | undefined;
}

/** Trains all parameters: a copy of `params` with a reference, `params` themselves without one. */
export const fullPolicy = async <P>(
  params: P,
  { hasReference }: { readonly hasReference: boolean },
): Promise<Policy<P, P>> => ({
  // A copy, since steps write over the buffers of what they train, and the reference must stay.
  initial: hasReference ? await copy(params) : params,
  parameters: (trained) => trained,
  reference: hasReference ? params : undefined,
});

/** Trains LoRA adapters alone (Hu et al. 2021). */
export const loraPolicy = <P>(params: P, key: Tensor, options: LoraOptions): Policy<P, LoraAdapters> => ({
  initial: initLora(params, key, options),
  parameters: (adapters) => attachLora(params, adapters),
  reference: params,
});

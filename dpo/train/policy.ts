import { attachLora, initLora, type LoraAdapters, type LoraOptions } from '../../nn/index.ts';
import { copy, type Tensor } from '../../tensor/index.ts';

/**
 * What is trained, T, of a model with parameters P, and what it is compared with. Full training has its own copy of all
 * parameters beside the frozen ones; with LoRA the frozen ones serve both, as the policy's base and, without adapters, as the
 * reference.
 */
export interface Policy<P, T> {
  /** What training begins with. */
  readonly initial: T;
  /** The policy's parameters. */
  parameters(trained: T): P;
  /** The frozen reference; none where there is nothing to compare with, or its errors were computed before. */
  readonly reference: P | undefined;
}

/** Training all parameters; without a reference, the given ones are those that are trained. */
export const fullPolicy = async <P>(
  params: P,
  { hasReference }: { readonly hasReference: boolean },
): Promise<Policy<P, P>> => ({
  // An independent tree: steps write over their own leaves, and must never reach the reference's.
  initial: hasReference ? await copy(params) : params,
  parameters: (trained) => trained,
  reference: hasReference ? params : undefined,
});

/** Training adapters of low rank alone (Hu et al. 2021). */
export const loraPolicy = <P>(params: P, key: Tensor, options: LoraOptions): Policy<P, LoraAdapters> => ({
  initial: initLora(params, key, options),
  parameters: (adapters) => attachLora(params, adapters),
  reference: params,
});

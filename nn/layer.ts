import type { FloatDType, Tensor } from '../tensor/index.ts';

/** Options of a layer's `init`. */
export interface InitOptions {
  /** What parameters are stored as; default f32. */
  readonly dtype?: FloatDType;
}

/**
 * A layer: a function that makes parameters from a key, and a pure function of parameters and inputs. Parameters are
 * nested plain objects and arrays of tensors whose paths, joined with dots, are the names that PyTorch and diffusers give
 * them. `init` builds a lazy graph: asking for names and shapes allocates nothing.
 */
export interface Layer<Params, Inputs extends readonly unknown[] = [x: Tensor], Output = Tensor> {
  init(key: Tensor, options?: InitOptions): Params;
  apply(params: Params, ...inputs: Inputs): Output;
}

/** The parameters of a layer. */
export type ParamsOf<L> = L extends { init(key: Tensor, options?: InitOptions): infer Params } ? Params : never;

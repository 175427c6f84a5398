import { gelu, geluTanh, quickGelu, relu, silu, softplus, type Tensor, TensorError, tanh } from '../tensor/index.ts';

/** Activations by the names that configurations use. */
const activations = {
  silu,
  swish: silu,
  gelu,
  gelu_new: geluTanh,
  quick_gelu: quickGelu,
  relu,
  /** x·tanh(log(1 + e^x)) */
  mish: (x: Tensor): Tensor => x.mul(tanh(softplus(x))),
} as const satisfies Readonly<Record<string, (x: Tensor) => Tensor>>;

/** The name of an activation in configurations. */
export type ActivationName = keyof typeof activations;

/** The activation with a name; throws for names that are not known, and lists those that are. */
export function activation(name: string): (x: Tensor) => Tensor {
  if (!Object.hasOwn(activations, name)) {
    throw new TensorError(
      `activation: '${name}' is not known; the activations are: ${Object.keys(activations).join(', ')}`,
    );
  }
  return activations[name as ActivationName];
}

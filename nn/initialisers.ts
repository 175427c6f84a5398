import { random, type Shape, type Tensor } from '../tensor/index.ts';
import type { InitOptions } from './layer.ts';
import type { LoraAdapter } from './lora/adapter.ts';

/** The parameters of linear layers and convolutions. */
export interface AffineParams {
  /** [outputs, inputs, …kernel] */
  readonly weight: Tensor;
  /** [outputs] */
  readonly bias?: Tensor;
  /** Where an adapter is attached. */
  readonly lora?: LoraAdapter;
}

/**
 * Weight and bias as PyTorch's Linear and Conv2d begin: uniform in ±1/√fanIn, where fanIn is how many numbers one output
 * is computed from. (Kaiming uniform with a = √5 is the same bound.)
 */
export function initAffine(
  key: Tensor,
  shape: Shape,
  bias: boolean,
  { dtype = 'f32' }: InitOptions = {},
): AffineParams {
  const [weightKey, biasKey] = random.split(key);
  const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  const draw = (from: Tensor, size: Shape) => random.uniform(from, size, { min: -bound, max: bound, dtype });
  const weight = draw(weightKey, shape);
  return bias ? { weight, bias: draw(biasKey, shape.slice(0, 1)) } : { weight };
}

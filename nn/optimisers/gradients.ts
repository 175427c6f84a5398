import { mapTree, type Tensor, TensorError, zipTrees } from '../../tensor/index.ts';
import { globalNorm, widened } from '../trees.ts';

/**
 * Gradients scaled by 1/(norm + 1e-6)·maxNorm where their global norm is above `maxNorm` (Pascanu et al. 2013; PyTorch's
 * `clip_grad_norm_`), and the norm before. Both in f32 at least.
 */
export function clipByGlobalNorm<P>(gradients: P, maxNorm: number): { readonly gradients: P; readonly norm: Tensor } {
  if (!(maxNorm > 0)) throw new TensorError(`clipByGlobalNorm: maxNorm must be positive, got ${maxNorm}`);
  const norm = globalNorm(gradients);
  const factor = norm.add(1e-6).div(maxNorm).maximum(1);
  return {
    gradients: mapTree(gradients, (g) => widened(g).div(factor.cast(widened(g).dtype))),
    norm,
  };
}

/** Gradients with every element kept within ±limit, in f32 at least. */
export const clipByValue = <P>(gradients: P, limit: number): P =>
  mapTree(gradients, (g) => widened(g).clamp({ min: -limit, max: limit }));

/**
 * The sum of the gradients of micro-batches so far, in f32 at least. Begin with undefined; divide by their number with
 * `meanGradients`.
 */
export const accumulate = <P>(sum: P | undefined, gradients: P): P =>
  sum === undefined
    ? mapTree(gradients, widened)
    : zipTrees((total, g) => total.add(g.cast(total.dtype)), sum, gradients);

/** The mean of accumulated gradients. */
export const meanGradients = <P>(sum: P, count: number): P => mapTree(sum, (total) => total.div(count));

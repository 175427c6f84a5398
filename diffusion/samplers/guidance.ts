import { type Tensor, where } from '../../tensor/index.ts';

/**
 * Classifier-free guidance (Ho & Salimans 2022): unconditional + scale·(conditional − unconditional). With a rescale above
 * 0, that share of the result is brought to the standard deviation of the conditional prediction (Lin et al. 2023,
 * section 3.4), against overexposed images. Predictions are [N, …].
 */
export function guide(
  conditional: Tensor,
  unconditional: Tensor,
  { scale, rescale = 0 }: { readonly scale: number; readonly rescale?: number },
): Tensor {
  const guided = unconditional.add(conditional.sub(unconditional).mul(scale));
  if (rescale === 0) return guided;
  const axes = guided.shape.map((_, axis) => axis).slice(1);
  // The unbiased estimate or not makes no difference: only the ratio of two counts.
  const deviation = (x: Tensor) => x.variance(axes, { keepDims: true }).sqrt();
  // What is the same everywhere has no spread that could be brought back.
  const own = deviation(guided);
  const isFlat = own.equal(0);
  const rescaled = guided.mul(where(isFlat, 1, deviation(conditional).div(where(isFlat, 1, own))));
  return rescaled.mul(rescale).add(guided.mul(1 - rescale));
}

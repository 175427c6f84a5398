/**
 * How far results may be from golden data: the table of the data's README. Numbers are relative L2 errors unless the
 * name says otherwise. In float32 the bound of a tensor is the larger of its row and ten times the error that PyTorch's
 * own float32 has there; in float64 it is the rounding of the stored float32 values.
 */
export const bounds = {
  float64: 2e-7,
  ops: { output: 5e-6, gradient: 1e-5 },
  modules: { output: 5e-6, gradient: 2e-5 },
  unet: { output: 2e-5, allGradients: 5e-5, gradient: 2e-4 },
  vae: { output: 2e-5, gradient: 1e-4 },
  lora: { output: 2e-5, gradient: 1e-4 },
  textEncoder: { hiddenState: 1e-5 },
  schedulers: { value: 2e-5 },
  pipeline: { embeddings: 1e-5, latents: 1e-4, ddimPixel: 5e-4 },
  dpo: {
    /** Absolute, times beta. */
    insidePerBeta: 5e-7,
    /** Absolute, times beta. */
    lossPerBeta: 2.5e-7,
    gradient: 2e-3,
    /** Where the reference equals the policy; the loss is then ln 2, and this bound of it is absolute. */
    equalLoss: 1e-6,
    equalGradient: 5e-5,
  },
  optimiser: {
    loss: 2e-3,
    gradientNorm: 1e-3,
    parameterChange: 1e-2,
    /** In learning rates, for 99% of the elements. */
    elementChange: 0.05,
  },
} as const;

/** The bound of one tensor, from its row of the table and PyTorch's own float32 error where the data states one. */
export function boundOf(dtype: 'f32' | 'f64', row: number, float32Error = 0): number {
  return dtype === 'f64' ? bounds.float64 : Math.max(row, 10 * float32Error);
}

import type { LoraAdapters } from '../../nn/index.ts';
import { type Tensor, tensor } from '../../tensor/index.ts';
import type { TextToImageConfig } from '../pipeline/textToImage.ts';
import { frontsOf, type LoraPart, underscored } from './layerNames.ts';

/**
 * Adapters of a pipeline's parts as the tensors of a file in kohya's format, as most tools other than diffusers write it (and diffusers
 * reads it): `lora_unet_…`, `lora_te_…` (`lora_te1_…` and `lora_te2_…` with two text encoders) with `lora_down`, `lora_up` and
 * `alpha`, an f32 scalar, so that nothing is multiplied into B. Layers are named by diffusers' paths.
 */
export function kohyaLoraTensors(
  config: TextToImageConfig,
  adapters: Readonly<Partial<Record<LoraPart, LoraAdapters>>>,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(adapters).flatMap(([part, layers]) => {
      const [front] = frontsOf(part as LoraPart, config).kohya;
      return Object.entries(layers).flatMap(([path, { down, up, alpha }]) => {
        const name = front + underscored(path);
        return [
          [`${name}.lora_down.weight`, down],
          [`${name}.lora_up.weight`, up],
          [`${name}.alpha`, tensor(alpha)],
        ] as const;
      });
    }),
  );
}

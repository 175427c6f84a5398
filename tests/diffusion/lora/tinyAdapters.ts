import { type LoraPart, type TextToImageConfig, textToImage } from 'diffusion-dpo/diffusion';
import { initLora, type LoraAdapters } from 'diffusion-dpo/nn';
import {
  flattenTree,
  fromBytes,
  key,
  mapTree,
  openSafetensors,
  random,
  read,
  realize,
  type Tensor,
  toSafetensorsBytes,
} from 'diffusion-dpo/tensor';
import { type TinyLatentName, tinyLatentConfigs } from '../pipeline/tinyLatents.ts';

export type PartAdapters = Readonly<Partial<Record<LoraPart, LoraAdapters>>>;

const textLayers = ['**.self_attn.*', '**.mlp.*'];
/** Linear layers, 1×1 and 3×3 convolutions of a UNet. */
const unetLayers = [
  '**.attn*.to_*',
  '**.to_out.0',
  '**.proj_in',
  '**.ff.net.**',
  '**.resnets.*.*',
  '**.conv',
  'time_embedding.*',
];

/** Adapters of random numbers for the UNet and the text encoders of a tiny pipeline; alpha differs from the rank. */
export async function tinyAdapters(name: TinyLatentName) {
  const config: TextToImageConfig = tinyLatentConfigs[name].config;
  const params = textToImage(config).init(key(0));
  const parts = Object.keys(params).filter((part): part is LoraPart => part !== 'vae');
  const adapters: PartAdapters = Object.fromEntries(
    parts.map((part, i) => {
      const targets = part === 'unet' ? unetLayers : textLayers;
      const own = initLora(params[part], key(10 + i), { targets, rank: 2, alpha: 3 });
      return [part, mapTree(own, (x, path) => (path.endsWith('.up') ? random.normal(key(path.length), x.shape) : x))];
    }),
  );
  return { config, params, target: { config, params, place: 'DIR' }, adapters: await realize(adapters) };
}

/** A file of tensors, in memory. */
export const opened = async (tensors: Readonly<Record<string, Tensor>>, metadata: Record<string, string> = {}) =>
  openSafetensors(fromBytes(await toSafetensorsBytes(tensors, { metadata }), 'style.safetensors'));

/** The tensors of adapters under other names; alpha is left out where its name is undefined. */
export function namedTensors(
  adapters: PartAdapters,
  nameOf: (part: string, path: string, half: 'down' | 'up') => string,
  alphaName?: (part: string, path: string) => string,
  alphaOf?: (alpha: number) => Tensor,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(adapters).flatMap(([part, layers]) =>
      Object.entries(layers).flatMap(([path, { down, up, alpha }]): (readonly [string, Tensor])[] => [
        [nameOf(part, path, 'down'), down],
        [nameOf(part, path, 'up'), up],
        ...(alphaName && alphaOf ? [[alphaName(part, path), alphaOf(alpha)] as const] : []),
      ]),
    ),
  );
}

/** Everything that adapters are, in numbers. */
export const contents = async (adapters: PartAdapters): Promise<string[]> => {
  const alphas = Object.entries(adapters).flatMap(([part, layers]) =>
    Object.entries(layers).map(([path, { alpha }]) => `${part} ${path} alpha ${alpha}`),
  );
  const values = flattenTree(adapters).map(
    async ({ path, tensor: x }) => `${path} ${x.dtype} [${x.shape.join()}] ${Array.from(await read(x)).join()}`,
  );
  return [...alphas, ...(await Promise.all(values))].sort();
};

import { learnTokenizer, type TextToImageParams, textToImage } from 'diffusion-dpo/diffusion';
import { type PipelineFiles, savePipelineFolder } from 'diffusion-dpo/diffusion/node';
import { type FloatDType, key, mapTree, realize } from 'diffusion-dpo/tensor';
import { knownScheduler, knownTexts, knownVaes } from '../../../diffusion/singleFile/knownParts.ts';
import { type KnownUNet, knownUNets } from '../../../diffusion/singleFile/knownUNets.ts';

/** Widths so small that a pipeline with all blocks of a published one takes a megabyte or two. */
const narrow = (width: number): number => 4 * Math.round(width / 320);
const textWidths: Readonly<Record<number, number>> = { 768: 8, 1024: 10, 1280: 12 };

const words = ['a red square', 'a blue square', 'a green dot'];
export const tokenizer = learnTokenizer(words, { merges: 10, maxLength: 16 });

/** A published UNet by its name in the table. */
export function knownUNet(name: string): KnownUNet {
  const found = knownUNets.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no UNet '${name}'`);
  return found;
}

/** A published pipeline in its full layout, with tiny widths, under one of the names of the table of UNets. */
export async function narrowPipeline(name: string, dtype: FloatDType, seed = 0): Promise<PipelineFiles> {
  const { family, config } = knownUNet(name);
  const size = Object.keys(tokenizer.vocabulary).length;
  const texts = knownTexts[family].map((text) => {
    const width = textWidths[Number(text.hidden_size)] as number;
    return {
      ...text,
      ...{ hidden_size: width, intermediate_size: 2 * width, projection_dim: width, num_attention_heads: 2 },
      ...{ vocab_size: size, bos_token_id: size - 2, max_position_embeddings: 16 },
    };
  });
  const [textEncoder, textEncoder2] = texts as [(typeof texts)[number], ...typeof texts];
  const width = texts.reduce((sum, { hidden_size }) => sum + hidden_size, 0);
  const pooled = texts.at(-1)?.hidden_size as number;
  const levels = config.block_out_channels as readonly number[];
  const isRefiner = family === 'refiner';
  const unet = {
    ...config,
    ...{ block_out_channels: levels.map(narrow), norm_num_groups: 2, cross_attention_dim: width, sample_size: 2 },
    attention_head_dim: family === 'sd1' ? 2 : levels.map((_, i) => (i === 0 ? 1 : 2)),
    ...(config.addition_embed_type === 'text_time' && {
      addition_time_embed_dim: 4,
      projection_class_embeddings_input_dim: pooled + (isRefiner ? 5 : 6) * 4,
    }),
  };
  const vae = { ...knownVaes[family], block_out_channels: [2, 2, 4, 4], norm_num_groups: 2 };
  const models = { unet, textEncoder, textEncoder2, vae };
  const params = await realize(mapTree(textToImage(models).init(key(seed)), (x) => x.cast(dtype)));
  return {
    config: models,
    params: params as TextToImageParams,
    scheduler: knownScheduler(family, family === 'sd2' ? 'v_prediction' : 'epsilon', false),
    tokenizer: isRefiner || family === 'sd2' ? { ...tokenizer, padToken: '!' } : tokenizer,
    ...(textEncoder2 && { tokenizer2: { ...tokenizer, padToken: '!' } }),
    forceZerosForEmptyPrompt: family === 'sdxl',
  };
}

/** Writes such a pipeline's folder. */
export const writeNarrow = async (folder: string, name: string, dtype: FloatDType): Promise<void> =>
  savePipelineFolder(folder, await narrowPipeline(name, dtype));

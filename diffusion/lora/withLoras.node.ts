import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { WeightedLora } from '../../nn/index.ts';
import { attempt, openSafetensorsFile } from '../../tensor/index.node.ts';
import { key } from '../../tensor/index.ts';
import type { PipelineSource } from '../pipeline/pipelineSource.ts';
import { textToImage } from '../pipeline/textToImage.ts';
import type { LoraSource } from './argument.ts';
import { type LoraTarget, mergeIntoPart, openPipelineLora } from './pipelineLora.ts';

/** The file that is meant: in a folder, the one that diffusers writes. */
async function fileIn({ path, scale }: LoraSource): Promise<LoraSource> {
  const isFolder = (await attempt('open', path, stat(path))).isDirectory();
  return { path: isFolder ? join(path, 'pytorch_lora_weights.safetensors') : path, scale };
}

/**
 * A pipeline whose parts have LoRA adapters merged into their weights when they are loaded: W + Σ scale·(alpha/r)·B·A, summed in f32
 * and cast once. All files are checked before any weight is read. A folder stands for its `pytorch_lora_weights.safetensors`.
 * @throws FormatError as `openPipelineLora` does: where a file is no LoRA of this pipeline, or some of its tensors fit no part
 */
export async function withLoras(source: PipelineSource, loras: readonly LoraSource[]): Promise<PipelineSource> {
  if (loras.length === 0) return source;
  const { config, place } = source;
  const target: LoraTarget = { config, place, params: textToImage(config).init(key(0)) };
  const files: LoraSource[] = [];
  for (const given of loras) {
    const lora = await fileIn(given);
    await using file = await openSafetensorsFile(lora.path);
    await openPipelineLora(file, target);
    files.push(lora);
  }
  const loadPart: PipelineSource['loadPart'] = async (part, options) => {
    const params = await source.loadPart(part, options);
    if (part === 'vae') return params;
    const weighted: WeightedLora[] = [];
    for (const { path, scale } of files) {
      await using file = await openSafetensorsFile(path);
      const found = await openPipelineLora(file, target);
      if (found.models.includes(part)) weighted.push({ adapters: await found.read(part), strength: scale });
    }
    return weighted.length === 0 ? params : mergeIntoPart(params, weighted);
  };
  return { ...source, loadPart };
}

import type { WeightedLora } from '../../nn/index.ts';
import { openSafetensorsFile } from '../../tensor/index.node.ts';
import { key } from '../../tensor/index.ts';
import type { PipelineSource } from '../pipeline/pipelineSource.ts';
import { textToImage } from '../pipeline/textToImage.ts';
import type { LoraSource } from './argument.ts';
import { type LoraTarget, mergeIntoPart, openPipelineLora } from './pipelineLora.ts';

/**
 * A pipeline whose parts have LoRA adapters merged into their weights when they are loaded: W + Σ scale·(alpha/r)·B·A, summed in f32
 * and cast once. All files are checked before any weight is read.
 * @throws FormatError as `openPipelineLora` does: where a file is no LoRA of this pipeline, or some of its tensors fit no part
 */
export async function withLoras(source: PipelineSource, loras: readonly LoraSource[]): Promise<PipelineSource> {
  if (loras.length === 0) return source;
  const { config, place } = source;
  const target: LoraTarget = { config, place, params: textToImage(config).init(key(0)) };
  for (const { path } of loras) {
    await using file = await openSafetensorsFile(path);
    await openPipelineLora(file, target);
  }
  const loadPart: PipelineSource['loadPart'] = async (part, options) => {
    const params = await source.loadPart(part, options);
    if (part === 'vae') return params;
    const weighted: WeightedLora[] = [];
    for (const { path, scale } of loras) {
      await using file = await openSafetensorsFile(path);
      const found = await openPipelineLora(file, target);
      if (found.models.includes(part)) weighted.push({ adapters: await found.read(part), strength: scale });
    }
    return weighted.length === 0 ? params : mergeIntoPart(params, weighted);
  };
  return { ...source, loadPart };
}

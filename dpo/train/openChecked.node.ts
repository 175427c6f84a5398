import { type OpenPipelineOptions, openPipeline, type PipelineSource, withLoras } from '../../diffusion/index.node.ts';
import { loraArgument } from '../../diffusion/index.ts';
import { refuseNotFinite } from './notFinite.ts';

/** Options of `openChecked`: those of `openPipeline`, and adapters. */
export interface OpenCheckedOptions extends OpenPipelineOptions {
  /** Files of LoRA adapters to merge into the weights, each as FILE or FILE:scale. */
  readonly loras?: readonly string[] | null;
}

/** A pipeline whose parts are refused where they hold NaN or infinity; messages call it `place`. */
const refusingNotFinite = (source: PipelineSource, place: string): PipelineSource => ({
  ...source,
  loadPart: async (part, options) => {
    const params = await source.loadPart(part, options);
    await refuseNotFinite(place, { [part]: params });
    return params;
  },
});

/**
 * Opens a pipeline whose weights are checked when they are loaded, and merged with LoRA adapters where files of them are given.
 * @throws TensorError where weights are NaN or infinite, as every image would be
 */
export async function openChecked(
  path: string,
  { loras, ...options }: OpenCheckedOptions = {},
): Promise<PipelineSource> {
  const source = await openPipeline(path, options);
  const own = refusingNotFinite(source, source.place);
  if (loras === undefined || loras === null || loras.length === 0) return own;
  return refusingNotFinite(await withLoras(own, loras.map(loraArgument)), loras.join(', '));
}

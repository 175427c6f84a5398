import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PipelinePart } from 'diffusion-dpo/diffusion';
import {
  type OpenPipelineOptions,
  type PipelineSource,
  savePipelineFolder,
  saveSingleFile,
} from 'diffusion-dpo/diffusion/node';
import { flattenTree, openDevice, read, setDefaultDevice, type Tensor } from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { narrowPipeline } from './fullLayouts.ts';

setDefaultDevice(await openDevice('wasm', { threads: 1 }));

/** A temporary folder with a pipeline that has the blocks of Stable Diffusion 1: as a folder, and as a single file. */
export interface NarrowOnDisk {
  at(name: string): string;
  readonly folder: string;
  readonly file: string;
  /** Options with the configurations of the folder, which the file needs. */
  own(options?: OpenPipelineOptions): OpenPipelineOptions;
  /** Writes the file's tensors again, changed, and gives the path. */
  changed(name: string, change: (tensors: Map<string, Tensor>) => void): Promise<string>;
  remove(): Promise<void>;
}

export async function narrowOnDisk(): Promise<NarrowOnDisk> {
  const place = await mkdtemp(join(tmpdir(), 'narrow-'));
  const at = (name: string): string => join(place, name);
  const [folder, file] = [at('sd1'), at('sd1.safetensors')];
  const pipeline = await narrowPipeline('Stable Diffusion 1', 'f32');
  await savePipelineFolder(folder, pipeline);
  await saveSingleFile(pipeline, file);
  return {
    ...{ at, folder, file },
    own: (options = {}) => ({ modelConfig: folder, ...options }),
    changed: async (name, change) => {
      await using reader = await openSafetensorsFile(file);
      const tensors = await reader.readAll();
      change(tensors);
      await saveSafetensors(at(name), tensors);
      return at(name);
    },
    remove: () => rm(place, { recursive: true, force: true }),
  };
}

/** The numbers of all parameters of a part, by name. */
export const valuesOf = async (
  source: PipelineSource,
  part: PipelinePart,
): Promise<Record<string, ArrayLike<unknown>>> =>
  Object.fromEntries(
    await Promise.all(
      flattenTree(await source.loadPart(part)).map(async ({ path, tensor }) => [path, await read(tensor)] as const),
    ),
  );

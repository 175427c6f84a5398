import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModelFolder, saveModelFolder } from 'diffusion-dpo/diffusion/node';
import { linear, module, type ParamsOf } from 'diffusion-dpo/nn';
import { flattenTree, key, mapTree, ones, read, type Tensor } from 'diffusion-dpo/tensor';
import { afterEach, beforeEach } from 'vitest';

export const weightsName = 'diffusion_pytorch_model.safetensors';
export const indexName = 'diffusion_pytorch_model.safetensors.index.json';

/** Gives each test a temporary folder of its own. */
export function useTemporaryFolder() {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'model-'));
  });
  afterEach(() => rm(folder, { recursive: true }));
  /** A path in the folder; without names, the folder itself. */
  const at = (...names: string[]): string => join(folder, ...names);
  return {
    at,
    /** The names of the entries of a folder, sorted. */
    list: async (path = at()): Promise<string[]> => (await readdir(path)).sort(),
    /** Saves `small`, all parameters equal to `value`, into the folder. */
    save: (value: number, options: Parameters<typeof saveModelFolder>[3] = {}) =>
      saveModelFolder(at(), config, filled(value), { model: small, ...options }),
    /** Loads `small` from the folder. */
    load: (options: Parameters<typeof loadModelFolder>[1] = {}) => loadModelFolder(at(), { model: small, ...options }),
  };
}

/** The message that a promise is rejected with. */
export const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'nothing was thrown',
    (error: Error) => error.message,
  );

/** A model of two small layers, for tests that need no particular model. */
export const small = () =>
  module({ first: linear(2, 3), second: linear(3, 1) }, ({ first, second }, x: Tensor) => second(first(x)));
export const config = { _class_name: 'Small', _name_or_path: 'here' };
export const filled = (value: number): ParamsOf<ReturnType<typeof small>> =>
  mapTree(small().init(key(0)), ({ shape }) => ones(shape).mul(value));

/** The distinct values of all tensors of a tree. */
export async function valuesIn(tree: unknown): Promise<number[]> {
  const values = await Promise.all(flattenTree(tree).map(async ({ tensor }) => Array.from(await read(tensor))));
  return [...new Set(values.flat())];
}

import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readWhole, regularFile } from '../../tensor/index.node.ts';
import { refuseSubstitute, TensorError } from '../../tensor/index.ts';
import type { Reward } from './reward.ts';

/**
 * Loads a reward from a module that exports `score(images, captions)` and optionally `name`, by default the file's name.
 * @throws TensorError if the module cannot be loaded, exports no function `score`, or exports a `name` that is not a string
 */
export async function loadReward(path: string): Promise<Reward> {
  const file = await regularFile(path, 'load the reward');
  refuseSubstitute(await readWhole(file), path);
  const loaded: Partial<Reward> = await import(pathToFileURL(resolve(file)).href).catch((error: unknown) => {
    throw new TensorError(`cannot load the reward ${path}: ${error instanceof Error ? error.message : String(error)}`);
  });
  const { name = basename(path).replace(/\.[^.]*$/, ''), score } = loaded;
  if (typeof score === 'function' && typeof name === 'string') return { name, file: path, score };
  const exported = Object.keys(loaded).join(', ') || 'nothing';
  throw new TensorError(
    `${path}: a reward is a module that exports a function score(images, captions), which gives a number for each ` +
      `image, and perhaps a text name; this one exports ${exported}`,
  );
}

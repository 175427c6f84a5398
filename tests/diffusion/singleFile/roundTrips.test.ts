import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  loadPipeline,
  type OpenPipelineOptions,
  openPipeline,
  savePipelineFolder,
  saveSingleFile,
} from 'diffusion-dpo/diffusion/node';
import { openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import { openSafetensorsFile } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeNarrow } from './fullLayouts.ts';

setDefaultDevice(await openDevice('wasm', { threads: 1 }));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'single-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

/** The bytes of all files below a folder, by their paths. */
async function contents(path: string, below = ''): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const name of (await readdir(path)).sort()) {
    const inside = join(path, name);
    if ((await stat(inside)).isDirectory())
      for (const [file, bytes] of await contents(inside, `${below}${name}/`)) found.set(file, bytes);
    else found.set(below + name, await readFile(inside));
  }
  return found;
}

const toFile = async (from: string, to: string, options?: OpenPipelineOptions) =>
  saveSingleFile(await loadPipeline(await openPipeline(from, options)), to);
const toFolder = async (from: string, to: string, options?: OpenPipelineOptions) =>
  savePipelineFolder(to, await loadPipeline(await openPipeline(from, options)));

describe.each([
  ['Stable Diffusion 1', 'f16'],
  ['Stable Diffusion 2', 'f32'],
  ['Stable Diffusion XL', 'bf16'],
  ['the refiner of Stable Diffusion XL', 'f32'],
  ['SSD-1B', 'f16'],
  ['Segmind Vega', 'f16'],
  ['BK-SDM-Small', 'bf16'],
] as const)('%s in %s', (name, dtype) => {
  test('folder → file → folder → file gives the same bytes', async () => {
    const [first, file, second, again] = ['folder', 'file.safetensors', 'second', 'again.safetensors'].map((one) =>
      at(`${name}-${one}`),
    ) as [string, string, string, string];
    await writeNarrow(first, name, dtype);
    await toFile(first, file);
    await using saved = await openSafetensorsFile(file);
    const dtypes = new Set([...saved.entries].flatMap(([key, entry]) => (key === 'v_pred' ? [] : [entry.dtype])));
    expect([...dtypes]).toEqual([dtype.toUpperCase()]);
    await toFolder(file, second, { modelConfig: first });
    const [before, after] = [await contents(first), await contents(second)];
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const [path, bytes] of before) expect(after.get(path)?.equals(bytes), path).toBe(true);
    await toFile(second, again);
    expect((await readFile(again)).equals(await readFile(file))).toBe(true);
  });
});

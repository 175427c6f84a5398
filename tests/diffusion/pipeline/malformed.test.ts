import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { textToImage } from 'diffusion-dpo/diffusion';
import { loadPipelineFolder, openPipeline, openPipelineFolder, savePipelineFolder } from 'diffusion-dpo/diffusion/node';
import { flattenTree, key, openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeTinyLatents } from './tinyLatents.ts';

setDefaultDevice(await openDevice('wasm', { threads: 1 }));
let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'malformed-'));
  await writeTinyLatents(at('sd15'), 'sd15');
  await writeTinyLatents(at('sdxl'), 'sdxl');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let copies = 0;
/** A copy of a pipeline's folder to break. */
async function copyOf(name: string): Promise<(...names: string[]) => string> {
  const own = at(`copy-${++copies}`);
  await cp(at(name), own, { recursive: true });
  return (...names) => join(own, ...names);
}

const messageOf = (path: string): Promise<string> =>
  openPipeline(path).then(
    () => 'no error',
    (error: Error) => error.message,
  );

const weights = 'diffusion_pytorch_model.safetensors';

test('every part that is missing or broken is in one message', async () => {
  const own = await copyOf('sdxl');
  await rm(own('unet', 'config.json'));
  await writeFile(own('scheduler', 'scheduler_config.json'), '{');
  await rm(own('tokenizer_2'), { recursive: true });
  await writeFile(
    own('text_encoder', 'model.safetensors'),
    (await readFile(own('text_encoder', 'model.safetensors'))).subarray(0, 3000),
  );
  await rename(own('vae', weights), own('vae', 'diffusion_pytorch_model.bin'));
  const message = await messageOf(own());
  expect(message).toMatch(/^\S+: there are 5 problems:\n/);
  expect(message).toMatch(/cannot read \S+unet.config\.json: there is no such file/);
  expect(message).toMatch(/scheduler_config\.json/);
  expect(message).toMatch(/tokenizer_2/);
  expect(message).toMatch(/text_encoder.model\.safetensors/);
  expect(message).toMatch(/vae: there is none of .*it holds only diffusion_pytorch_model\.bin.* can hold programs/);
});

test('tensors that are missing, not expected or of another shape are listed for all parts, before numbers are read', async () => {
  const own = await copyOf('sd15');
  for (const [part, file] of [
    ['unet', weights],
    ['vae', weights],
  ] as const) {
    await using reader = await openSafetensorsFile(own(part, file));
    const tensors = new Map(
      await Promise.all(reader.names.map(async (name) => [name, await reader.read(name)] as const)),
    );
    const [first = '', second = ''] = reader.names;
    const { [first]: gone, [second]: changed, ...others } = Object.fromEntries(tensors);
    if (gone === undefined || changed === undefined) throw new Error('there are no tensors');
    await saveSafetensors(own(part, `new-${file}`), {
      ...others,
      more: gone,
      [second]: changed.reshape([1, ...changed.shape]),
    });
    await rename(own(part, `new-${file}`), own(part, file));
  }
  const message = await messageOf(own());
  expect(message).toMatch(/there are 2 problems/);
  for (const part of ['unet', 'vae'])
    expect(message).toMatch(
      new RegExp(
        `${part}.${weights}: these are not the parameters of this model:\\n  missing \\(1\\):\\n.*\\n  unexpected \\(1\\):\\n    more .*\\n  of another shape \\(1\\):`,
      ),
    );
});

test('parts that do not fit together are named with their sizes', async () => {
  const pipeline = await loadPipelineFolder(at('sd15'));
  await savePipelineFolder(at('mixed'), pipeline);
  // A whole part of another pipeline.
  for (const part of ['text_encoder', 'tokenizer']) {
    await rm(at('mixed', part), { recursive: true });
    await cp(at('sdxl', part === 'tokenizer' ? 'tokenizer_2' : 'text_encoder_2'), at('mixed', part), {
      recursive: true,
    });
  }
  expect(await messageOf(at('mixed'))).toMatch(
    /mixed: its parts do not fit one another:\n {2}the unet looks at text of width 8 .* but the text encoder gives 12 /,
  );
  await rm(at('mixed'), { recursive: true });
  const fitting = { ...pipeline.config.unet, in_channels: 9, out_channels: 9 };
  const unet = textToImage({ ...pipeline.config, unet: fitting }).init(key(0)).unet;
  await savePipelineFolder(at('mixed'), {
    ...{ ...pipeline, config: { ...pipeline.config, unet: fitting } },
    params: { ...pipeline.params, unet },
  });
  expect(await messageOf(at('mixed'))).toMatch(/the vae has latents of 4 channels, but the unet takes 9 and gives 9/);
  await expect(loadPipelineFolder(at('mixed'))).rejects.toThrow('the vae has latents of 4 channels');
});

test('weights of a variant are taken where they stand alone or are asked for', async () => {
  const own = await copyOf('sd15');
  const dtypeOf = async (variant?: string) => {
    const source = await openPipelineFolder(own(), { variant });
    const [leaf] = flattenTree(await source.loadPart('unet'));
    return leaf?.tensor.dtype;
  };
  const pipeline = await loadPipelineFolder(at('sd15'));
  await savePipelineFolder(at('halves'), pipeline, { dtype: 'f16' });
  await cp(at('halves', 'unet', weights), own('unet', 'diffusion_pytorch_model.fp16.safetensors'));
  expect(await dtypeOf()).toBe('f32');
  expect(await dtypeOf('fp16')).toBe('f16');
  await expect(openPipelineFolder(own(), { variant: 'fp17' })).rejects.toThrow(
    'no part has weights of the variant "fp17"',
  );
  await rm(own('unet', weights));
  expect(await dtypeOf()).toBe('f16');
});

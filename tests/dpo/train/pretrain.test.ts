import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PretrainSettings, pretrainKeys, readSettings } from 'diffusion-dpo/dpo';
import { pretrain, writeCaptioned } from 'diffusion-dpo/dpo/node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { flatImage, tinyScheduler, tinyTextEncoder, tinyUNet } from '../tinyPipeline.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pretrain-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function tinyPretraining(output: string, changes: Partial<PretrainSettings>): Promise<PretrainSettings> {
  const images = join(folder, 'pictures.parquet');
  const image = (i: number) => ({ caption: `image ${i}`, image: flatImage([40 * i, 100, 200]) });
  await writeCaptioned([0, 1, 2, 3, 4].map(image), images);
  const models = { unet: tinyUNet, textEncoder: tinyTextEncoder, scheduler: tinyScheduler, merges: 5 };
  const run = { images, output: join(folder, output), device: 'reference', steps: 2, batchSize: 2, sampleSteps: 2 };
  return readSettings('test', { ...models, ...run, ...changes }, pretrainKeys);
}

test('each optimiser makes steps of its own', async () => {
  const made = new Set<string>();
  for (const optimiser of ['adamw', 'adafactor', 'lion', 'sgd'] as const) {
    const { model } = await pretrain(await tinyPretraining(optimiser, { optimiser, warmupSteps: 0 }));
    made.add((await readFile(join(model as string, 'unet', 'diffusion_pytorch_model.safetensors'))).toString('base64'));
  }
  expect(made.size).toBe(4);
  // The text encoder is told the ids of its tokenizer, whatever the settings say.
  const part = async (name: string) => JSON.parse(await readFile(join(folder, 'sgd', 'model', name), 'utf8'));
  const vocabulary = await part('tokenizer/vocab.json');
  expect(await part('text_encoder/config.json')).toMatchObject({
    vocab_size: Object.keys(vocabulary).length,
    bos_token_id: vocabulary['<|startoftext|>'],
    eos_token_id: vocabulary['<|endoftext|>'],
  });
});

test('numbers that are not finite stop a run before they are saved, with the step and the last checkpoint', async () => {
  const wild = { learningRate: 1e39, warmupSteps: 0 };
  await expect(pretrain(await tinyPretraining('first', { ...wild, steps: 1 }))).rejects.toThrow(
    /step 1: it left numbers that are not finite; parameters that are not finite begin with: [\s\S]*there is no checkpoint yet/,
  );
  expect(await readdir(join(folder, 'first'))).not.toContain('model');

  await pretrain(await tinyPretraining('second', { steps: 1 }));
  await expect(pretrain(await tinyPretraining('second', { ...wild, steps: 3 }))).rejects.toThrow(
    /step [23]: [\s\S]*the last good checkpoint is that of step 1 in /,
  );
});

test('going on with a run that drew other numbers from its seed is said', async () => {
  const settings = await tinyPretraining('out', { steps: 1 });
  await pretrain(settings);
  const file = join(settings.output, 'checkpoints', 'step-00000001', 'checkpoint.json');
  const { keys: _, ...record } = JSON.parse(await readFile(file, 'utf8'));
  const said: string[] = [];
  const onWarning = (message: string): unknown => said.push(message);
  await pretrain({ ...settings }, { onWarning });
  expect(said).toEqual([]);
  await writeFile(file, JSON.stringify(record));
  await pretrain({ ...settings, steps: 2 }, { onWarning });
  expect(said.join('\n')).toMatch(/drew other random numbers from its seed; it goes on with the new ones/);
});

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { saveSafetensors } from '../tensor/index.node.ts';
import { openDevice } from '../tensor/index.ts';
import { readArchive } from './goldenRunner/archive.ts';
import { passed } from './goldenRunner/families/family.ts';
import { runGolden } from './goldenRunner/run.ts';

// A copy of golden data of LoRA in which some numbers are wrong.

let root = '';
const folder = () => join(root, 'lora/sd15_attention');
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'golden-'));
  for (const part of ['lora/sd15_attention', 'unet/sd15', 'text_encoder/clip_quick_gelu'])
    await cp(fileURLToPath(new URL(`./golden/${part}`, import.meta.url)), join(root, part), { recursive: true });
});
afterAll(() => rm(root, { recursive: true }));

test('golden runner: LoRA data with other outputs, gradients and alphas fail where they are wrong', async () => {
  const layer = 'up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q';
  const changed = ['unet.scale_half.out', `unet.grad.${layer}.A`, 'text_encoder.last_hidden_state'];
  const tensors = [...(await readArchive(join(folder(), 'io.safetensors')))];
  const wrongTensors = tensors.map(([name, x]) => [name, changed.includes(name) ? x.mul(1.01) : x] as const);
  await saveSafetensors(join(folder(), 'io.safetensors'), Object.fromEntries(wrongTensors));
  // B of a file without alpha is B as it was trained times alpha/r: so another alpha gives another gradient.
  const text = 'text_model.encoder.layers.0.mlp.fc1';
  const io = JSON.parse(await readFile(join(folder(), 'io.json'), 'utf8')) as {
    modules: Record<string, Record<string, { alpha: number }>>;
  };
  const module = io.modules.text_encoder?.[text];
  if (module === undefined) throw new Error('there is no such module');
  module.alpha *= 2;
  await writeFile(join(folder(), 'io.json'), JSON.stringify(io));

  const report = await runGolden([join(root, 'lora')], { device: await openDevice('wasm'), dtype: 'f32' });
  const wrong = report.cases
    .filter((one) => !passed(one))
    .map(({ name, comparisons, problems }) => [
      name,
      ...comparisons.filter((comparison) => !comparison.passed).map((comparison) => comparison.tensor),
      // Norms of gradients are stated beside the tensors.
      ...problems.map((problem) => problem.replace(/ has norm.*| together have.*/, '')),
    ]);
  expect(wrong).toEqual([
    ['diffusers_old.safetensors unet', 'scale_half.out', `grad.${layer}.A`],
    [
      'diffusers_old.safetensors text_encoder',
      'last_hidden_state',
      `grad.${text}.B`,
      `the gradient of '${text}.B'`,
      'all gradients',
    ],
  ]);
});

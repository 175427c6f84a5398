import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { saveSafetensors } from '../tensor/index.node.ts';
import { openDevice, type Tensor, tensor } from '../tensor/index.ts';
import { readArchive } from './goldenRunner/archive.ts';
import { passed } from './goldenRunner/families/family.ts';
import { type Report, runGolden } from './goldenRunner/run.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'golden-'));
});
afterEach(() => rm(folder, { recursive: true }));

type Case = Record<string, unknown>;
const name = 'wide_24_bilinear_24';

/** Checks one case of cropping after a change. */
async function runChanged(change: (only: Case, tensors: Map<string, Tensor>) => void): Promise<Report> {
  const source = fileURLToPath(new URL('./golden/preprocess/shorter_side_crop', import.meta.url));
  const data = JSON.parse(await readFile(`${source}.json`, 'utf8')) as { cases: Case[] };
  data.cases = data.cases.filter((one) => one.name === name);
  const tensors = await readArchive(`${source}.safetensors`);
  for (const key of tensors.keys()) if (!key.startsWith(`${name}.`) && key !== 'image.wide') tensors.delete(key);
  change(data.cases[0] as Case, tensors);
  await writeFile(join(folder, 'data.json'), JSON.stringify(data));
  await saveSafetensors(join(folder, 'data.safetensors'), Object.fromEntries(tensors));
  return runGolden([folder], { device: await openDevice('reference'), dtype: 'f64' });
}

/** Names of the tensors that differ, and what else is wrong. */
const wrong = (report: Report): string[] =>
  report.cases
    .filter((one) => !passed(one))
    .flatMap(({ comparisons, problems }) => [
      ...comparisons.filter((comparison) => !comparison.passed).map((comparison) => comparison.tensor),
      ...problems,
    ]);

test('what is resized, cropped, mirrored and scaled is compared', async () => {
  const report = await runChanged(() => undefined);
  expect(wrong(report)).toEqual([]);
  expect(report.comparedTensors).toBe(5);
});

test.each(['resized', 'cropped', 'flipped', 'random_crop'])('a byte of %s that differs', async (kind) => {
  const report = await runChanged((_, tensors) => {
    const x = tensors.get(`${name}.${kind}`) as Tensor;
    const one = tensor([1], { dtype: x.dtype }).reshape([1, 1, 1]);
    const rest = x.shape.map((size) => [0, size - 1] as const);
    tensors.set(`${name}.${kind}`, x.add(one.pad(rest)));
  });
  expect(wrong(report)).toEqual([kind]);
});

test.each([
  ['filter', 'lanczos', "the filter 'lanczos' is not that of training, which is bilinear"],
  ['crop', 20, 'the library resizes to the size of the crop, not to another'],
  ['mode', 'LA', 'what decodes files gives RGB'],
])('%s %s is left out', async (field, value, reason) => {
  const report = await runChanged((only) => {
    only[field] = value;
  });
  expect(report.leftOut).toMatchObject([{ name, reason, tensors: 5 }]);
  expect(report).toMatchObject({ expectedTensors: 0, failed: 0 });
});

test.each([
  ['crop_top_left', [0, 5], ['flipped', 'tensor', 'cropped begins at 0, 6, not 0, 5']],
  ['random_crop_top_left', [0, 8], ['random_crop']],
  ['antialias', false, ["'antialias' in the case is not understood"]],
  ['image', 'tall', ["there is no image 'tall'"]],
])('the field %s is taken', async (field, value, expected) => {
  expect(
    wrong(
      await runChanged((only) => {
        only[field] = value;
      }),
    ),
  ).toEqual(expected);
});

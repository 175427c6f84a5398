import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadPipelineFolder } from 'diffusion-dpo/diffusion/node';
import type { PreferencePair } from 'diffusion-dpo/dpo';
import { loadJudges, openCaptioned, openPairs } from 'diffusion-dpo/dpo/node';
import { countParameters } from 'diffusion-dpo/nn';
import { openSafetensorsFile } from 'diffusion-dpo/tensor/node';
import { expect, test } from 'vitest';
import { emojiImage, emojiImages } from '../examples/emoji/images.ts';

const folder = fileURLToPath(new URL('../examples/emoji', import.meta.url));

async function pairsOf(name: string): Promise<PreferencePair[]> {
  await using source = await openPairs(join(folder, name));
  expect({ ties: source.ties, unlabelled: source.unlabelled }).toEqual({ ties: 0, unlabelled: 0 });
  return await Promise.all(Array.from({ length: source.count }, (_, i) => source.read(i)));
}
const [train, heldOut] = await Promise.all(['pairs-train.parquet', 'pairs-held-out.parquet'].map(pairsOf));

test('a tenth of the labels to train on are flipped, none of the held-out ones', () => {
  const flipped = (pairs: readonly PreferencePair[] = []) =>
    pairs.filter(({ models }) => models?.winner === 'twemoji' && models.loser === 'noto').length;
  const right = (pairs: readonly PreferencePair[] = []) =>
    pairs.filter(({ models }) => models?.winner === 'noto' && models.loser === 'twemoji').length;
  expect([train?.length, right(train), flipped(train)]).toEqual([336, 302, 34]);
  expect([heldOut?.length, right(heldOut), flipped(heldOut)]).toEqual([84, 84, 0]);
});

test('no caption is on both sides, and none names a style', () => {
  const [ours, theirs] = [train, heldOut].map((pairs = []) => pairs.map(({ caption }) => caption));
  expect(new Set([...(ours ?? []), ...(theirs ?? [])]).size).toBe(336 + 84);
  for (const caption of [...(ours ?? []), ...(theirs ?? [])])
    expect(caption).not.toMatch(/noto|twemoji|twitter|google/i);
});

test('the images of a pair are those of its caption in the two styles', async () => {
  const styles = { noto: await emojiImages('noto'), twemoji: await emojiImages('twemoji') };
  const places = new Map(styles.noto.items.map(({ caption }, i) => [caption, i]));
  for (const { caption, models, winner, loser } of [...(train ?? []), ...(heldOut ?? [])]) {
    const place = places.get(caption) as number;
    const drawn = (style: string | undefined) => emojiImage(styles[style as 'noto'], place);
    expect(winner, caption).toEqual(drawn(models?.winner));
    expect(loser, caption).toEqual(drawn(models?.loser));
  }
});

test('the base was trained on both images of every caption', async () => {
  await using images = await openCaptioned(join(folder, 'pictures.parquet'));
  const all = await Promise.all(Array.from({ length: images.count }, (_, i) => images.read(i)));
  const counts = new Map<string, number>();
  for (const { caption } of all) counts.set(caption, (counts.get(caption) ?? 0) + 1);
  expect(counts.size).toBe(420);
  expect(new Set(counts.values())).toEqual(new Set([2]));
  for (const { caption } of [...(train ?? []), ...(heldOut ?? [])]) expect(counts.has(caption)).toBe(true);
});

test('the base is a pipeline in f16 of at most 8 MB, and the judges are there', async () => {
  const base = join(folder, 'base');
  const names = (await readdir(base, { recursive: true })).map((name) => join(base, name));
  const sizes = await Promise.all(
    names.map(async (name) => ((await stat(name)).isFile() ? (await stat(name)).size : 0)),
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(8e6);
  const index = JSON.parse(await readFile(join(base, 'model_index.json'), 'utf8'));
  expect(index.unet).toEqual(['diffusers', 'UNet2DConditionModel']);
  const pipeline = await loadPipelineFolder(base);
  expect(countParameters(pipeline.params.unet)).toBe(2_206_443);
  for (const file of names.filter((name) => name.endsWith('.safetensors'))) {
    await using stored = await openSafetensorsFile(file);
    expect(new Set([...stored.entries.values()].map(({ dtype }) => dtype)), file).toEqual(new Set(['F16']));
  }
  const { kind, accuracy } = await loadJudges(join(folder, 'judges'));
  expect(kind.classes).toEqual(['preferred', 'other', 'neither']);
  expect(accuracy.value).toBeGreaterThan(0.9);
});

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Classifier, Judges } from 'diffusion-dpo/dpo';
import { loadJudges, saveJudges } from 'diffusion-dpo/dpo/node';
import { key, openDevice, read, setDefaultDevice, tensor, treeLeaves } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { convClassifier } from '../../../dpo/evaluate/convClassifier.ts';

setDefaultDevice(await openDevice('reference'));

/** A network whose parameters and running statistics differ from those of every other seed. */
function network(classes: readonly string[], widths: readonly number[], seed: number): Classifier {
  const { init } = convClassifier({ classes: classes.length, channels: 3, widths });
  const statistics = widths.map((width) => ({
    running_mean: tensor(new Float32Array(width).fill(seed + 0.25)),
    running_var: tensor(new Float32Array(width).fill(seed + 0.5)),
  }));
  return { classes, channels: 3, widths, params: init(key(seed)), statistics };
}
const judges: Judges = {
  kind: network(['preferred', 'other', 'neither'], [2, 3], 1),
  caption: network(['a cat', 'a dog'], [2], 2),
  accuracy: { value: 0.75, low: 0.5, high: 0.875 },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'judges-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('judges are read as they were written: classes, parameters, running statistics and accuracy', async () => {
  await saveJudges(folder, judges);
  const loaded = await loadJudges(folder);
  expect(loaded.accuracy).toEqual(judges.accuracy);
  for (const name of ['kind', 'caption'] as const) {
    const [{ params, statistics, ...found }, expected] = [loaded[name], judges[name]];
    const { params: _, statistics: __, ...shape } = expected;
    expect(found).toEqual(shape);
    const numbers = (of: Pick<Classifier, 'params' | 'statistics'>) =>
      Promise.all(treeLeaves([of.params, of.statistics]).map(async (leaf) => Array.from(await read(leaf))));
    expect(await numbers({ params, statistics })).toEqual(await numbers(expected));
  }
});

test('a record of judges without a network or an accuracy is refused by file and name', async () => {
  await saveJudges(folder, judges);
  const file = join(folder, 'judges.json');
  const record = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...record, caption: { ...record.caption, classes: 'a cat' } }));
  await expect(loadJudges(folder)).rejects.toThrow(`${file}: caption must be {classes, channels, widths}`);
  await writeFile(file, JSON.stringify({ ...record, accuracy: { value: 0.75, low: 0.5 } }));
  await expect(loadJudges(folder)).rejects.toThrow(`${file}: accuracy must be {value, low, high}`);
});

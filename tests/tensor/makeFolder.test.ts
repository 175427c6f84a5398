import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeFolder } from '../../tensor/index.node.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'folders-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('folders are made with their parents, and the outermost new one is returned', async () => {
  const inner = join(folder, 'a', 'b', 'c');
  expect(await makeFolder(inner)).toBe(join(folder, 'a'));
  expect((await stat(inner)).isDirectory()).toBe(true);
  expect(await makeFolder(inner)).toBeUndefined();
});

// Repeated, because the outcome depends on timing: a folder may appear between two checks.
test('several may make the same at once', async () => {
  for (let round = 0; round < 100; round++) {
    const inner = join(folder, `x${round}`, 'y');
    await Promise.all(Array.from({ length: 8 }, (_, i) => makeFolder(join(inner, `${i % 2}`))));
    expect((await stat(join(inner, '1'))).isDirectory()).toBe(true);
  }
});

test('a file in the way is an error', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  await expect(makeFolder(file)).rejects.toThrow('EEXIST');
  await expect(makeFolder(join(file, 'inside'))).rejects.toThrow('ENOTDIR');
});

// Node's recursive mkdir never ends in this case.
test.skipIf(process.platform !== 'linux')(
  'a folder that takes no new ones is an error',
  async () => {
    await expect(makeFolder('/proc/none/inside')).rejects.toThrow('ENOENT');
  },
  5000,
);

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ownProcess, removedAtExit, removeLeftovers, replaceFile } from 'diffusion-dpo/tensor/node';
import { afterEach, beforeEach, expect, test } from 'vitest';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'temporary-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const tag = (host: string): string => createHash('sha256').update(host).digest('hex').slice(0, 8);
const gone = spawnSync(process.execPath, ['-e', '']).pid;

test('temporary files of ended processes are removed, all others stay', async () => {
  const { start = 'x' } = await ownProcess();
  const leftovers = [
    `.a.safetensors-${tag(hostname())}-${gone}-1234-0123abcd.tmp`,
    `.a.json-${tag(hostname())}-${gone}-x-0123abcd.tmp`,
    // The id of this process, with another start time.
    `.a.json-${tag(hostname())}-${process.pid}-1-0123abcd.tmp`,
    `.name-with-parts.png-${tag(hostname())}-${gone}-1-0123abcd.tmp`,
  ];
  const others = [
    `.a.json-${tag(hostname())}-${process.ppid}-x-0123abcd.tmp`,
    `.a.json-${tag('elsewhere')}-${gone}-1234-0123abcd.tmp`,
    ...(start === 'x' ? [] : [`.a.json-${tag(hostname())}-${process.pid}-${start}-0123abcd.tmp`]),
    '.a.json-1234.tmp',
    'a.tmp',
    `a.json-${tag(hostname())}-${gone}-1234-0123abcd.tmp`,
    `.a.json-${tag(hostname())}-${gone}-1234-0123abcd.tmp.json`,
  ];
  await mkdir(join(folder, 'model', 'unet'), { recursive: true });
  await mkdir(join(folder, 'theirs'));
  for (const name of [...leftovers, ...others]) {
    await writeFile(join(folder, name), '');
    for (const part of ['model/unet', 'theirs']) await writeFile(join(folder, part, name), '');
  }
  await removeLeftovers(folder, 'model', 'nowhere');
  expect((await readdir(folder)).sort()).toEqual([...others, 'model', 'theirs'].sort());
  expect((await readdir(join(folder, 'model/unet'))).sort()).toEqual([...others].sort());
  expect((await readdir(join(folder, 'theirs'))).length).toBe(leftovers.length + others.length);
});

test('a file that is being written stays, and its name identifies the writer', async () => {
  await replaceFile(join(folder, 'a.json'), async (write) => {
    await write(new Uint8Array(3));
    await removeLeftovers(folder);
    const { start = 'x' } = await ownProcess();
    expect(await readdir(folder)).toEqual([
      expect.stringMatching(new RegExp(`^\\.a\\.json-${tag(hostname())}-${process.pid}-${start}-[0-9a-f]{8}\\.tmp$`)),
    ]);
  });
  expect(await readdir(folder)).toEqual(['a.json']);
});

test('a process that ends during a write leaves no temporary file or folder behind', () => {
  const script = `
    import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
    import { removedAtExit, replaceFile } from './tensor/index.node.ts';
    const folder = process.argv[1];
    removedAtExit(folder + '/lock');
    writeFileSync(folder + '/lock', '');
    mkdirSync(folder + '/kept');
    removedAtExit(folder + '/kept')();
    await replaceFile(folder + '/a', async (write) => {
      await write(new Uint8Array(9));
      console.log(readdirSync(folder).length);
      process.exit(7);
    });`;
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', script, '--', folder],
    { encoding: 'utf8' },
  );
  expect([status, stdout]).toEqual([7, '3\n']);
  return expect(readdir(folder)).resolves.toEqual(['kept']);
});

test('no exit handler stays registered after the last write', async () => {
  const before = process.listenerCount('exit');
  const dones = ['a', 'b'].map((name) => removedAtExit(join(folder, basename(name))));
  expect(process.listenerCount('exit')).toBe(before + 1);
  for (const done of dones) done();
  expect(process.listenerCount('exit')).toBe(before);
});

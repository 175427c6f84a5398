import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadModelFolder, saveModelFolder } from 'diffusion-dpo/diffusion/node';
import { linear } from 'diffusion-dpo/nn';
import { flattenTree, key, mapTree, ones, openDevice, read, setDefaultDevice } from 'diffusion-dpo/tensor';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

/** How many more operations change the disk until the process is as if killed; afterwards none does. */
const power = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY }));

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>();
  const mortal =
    <Arguments extends unknown[], Result>(operation: (...args: Arguments) => Promise<Result>) =>
    async (...args: Arguments): Promise<Result> => {
      power.left -= 1;
      if (power.left < 0) throw new Error('killed');
      return operation(...args);
    };
  // Whether data has reached the disk is not what these tests ask, and waiting for it is slow.
  const unsynced = async (path: string, flags: string) =>
    Object.assign(await fs.open(path, flags), { sync: async () => undefined });
  const openToWrite = mortal(unsynced);
  return {
    ...fs,
    mkdir: mortal(fs.mkdir as (...args: unknown[]) => Promise<unknown>),
    rm: mortal(fs.rm),
    // Opening a file for reading changes nothing.
    open: (path: string, flags: string) => (flags === 'r' ? unsynced(path, flags) : openToWrite(path, flags)),
    rename: mortal(fs.rename),
    rmdir: mortal(fs.rmdir),
  };
});

setDefaultDevice(await openDevice('reference'));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'saves-'));
});
afterEach(async () => {
  power.left = Number.POSITIVE_INFINITY;
  await rm(folder, { recursive: true });
});

const model = () => linear(2, 3);
const save = (to: string, value: number, maxShardBytes?: number, note = 'same') => {
  const params = mapTree(model().init(key(0)), ({ shape }) => ones(shape).mul(value));
  return saveModelFolder(to, { _class_name: 'Small', note }, params, { model, maxShardBytes });
};

/** The one value that all tensors of a folder have, and the note of its configuration. */
async function load(from: string): Promise<{ value: number; note: unknown }> {
  const { config, parameters } = await loadModelFolder(from, { model });
  const values = new Set<number>();
  for (const { tensor } of flattenTree(parameters)) for (const value of await read(tensor)) values.add(value);
  expect(values.size).toBe(1);
  return { value: [...values][0] as number, note: config.note };
}

/** Does something that is killed after some operations; whether it was. */
async function killedAfter(operations: number, job: () => Promise<unknown>): Promise<boolean> {
  power.left = operations;
  const failed = await job().then(
    () => false,
    () => true,
  );
  power.left = Number.POSITIVE_INFINITY;
  return failed;
}

describe('a save that is killed at any operation leaves the old model or the new one', () => {
  test.each([
    ['one file by one file', undefined, undefined],
    ['one file by shards', undefined, 1],
    ['shards by one file', 1, undefined],
    ['shards by as many shards', 1, 1],
    ['none', 'none', 1],
  ] as const)('which replaces %s', async (_, before, after) => {
    let steps = 0;
    let seen: (number | undefined)[] = [];
    for (let killed = true; killed; steps++) {
      // Loading finishes what a save left. It may be killed, too.
      for (const more of [0, 2]) {
        const to = join(folder, `${steps}-${more}`);
        await mkdir(to);
        if (before !== 'none') await save(to, 1, before, 'old');
        killed = await killedAfter(steps, () => save(to, 2, after, 'new'));
        await killedAfter(more, () => load(to));
        const found = await load(to).catch((error: Error) => {
          if (before === 'none' && error.message.includes('there is no config.json')) return undefined;
          throw error;
        });
        if (found !== undefined)
          expect(found).toEqual(found.value === 1 ? { value: 1, note: 'old' } : { value: 2, note: 'new' });
        seen.push(found?.value);
        await save(to, 3, before === 'none' ? undefined : before);
        expect((await load(to)).value).toBe(3);
        const left = (await readdir(to)).filter((name) => name.startsWith('.'));
        expect(left).toEqual([]);
      }
      seen = [...new Set(seen)];
    }
    // From some operation on, and not back and forth, there is the new one.
    expect(seen).toEqual([before === 'none' ? undefined : 1, 2]);
    expect(steps).toBeGreaterThan(5);
  });
});

test('of two saves into a folder at once, one is refused', async () => {
  const saves = await Promise.allSettled([save(folder, 1), save(folder, 2)]);
  // Which one comes first is the disk's to say.
  const refused = saves.filter((saved) => saved.status === 'rejected').map((saved) => String(saved.reason));
  expect(refused).toHaveLength(1);
  expect(refused[0]).toContain(`cannot write ${folder}: an earlier save into it is not done; await it`);
  expect((await load(folder)).value).toBe(saves.findIndex((saved) => saved.status === 'fulfilled') + 1);
});

test.skipIf(process.platform === 'win32')('a pipe in the place of the configuration is replaced', async () => {
  execFileSync('mkfifo', [join(folder, 'config.json')]);
  await save(folder, 1);
  expect((await load(folder)).value).toBe(1);
});

test('what an interrupted save is said to remove must be in the folder', async () => {
  await writeFile(join(folder, 'precious'), '');
  for (const names of [['../precious'], ['..'], '..', [1], {}]) {
    const to = join(folder, 'model');
    await mkdir(join(to, '.saved'), { recursive: true });
    await writeFile(join(to, '.saved', '.remove.json'), JSON.stringify(names));
    await expect(load(to)).rejects.toThrow('this is not a list of plain file names');
  }
  await writeFile(join(folder, 'model', '.saved', '.remove.json'), '["a"');
  await expect(load(join(folder, 'model'))).rejects.toThrow(/\.remove\.json is not valid JSON/);
  expect(await readdir(folder)).toContain('precious');
});

test('a process that is killed while it saves leaves a model that is whole', async () => {
  const script = fileURLToPath(new URL('./saveAgainAndAgain.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const saves: number[] = [];
  child.stdout.on('data', (data: Buffer) => saves.push(...String(data).trim().split('\n').map(Number)));
  while (saves.length < 3 && child.exitCode === null) await wait(10);
  await wait(Math.random() * 50);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  const { value } = await load(folder);
  const last = saves.at(-1) as number;
  // A save may have been complete that the process could no longer tell of.
  expect([last, last + 1]).toContain(value);
}, 60_000);

import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fateOf, ownProcess } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lockRun } from '../../../dpo/train/run/lockRun.node.ts';

let folder: string;
let lock: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'));
  lock = join(folder, 'run.lock');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Takes the lock and gives it back; both leave nothing. */
async function taken(): Promise<void> {
  {
    await using _ = await lockRun(folder);
    const { pid, host, start } = await ownProcess();
    expect(await readFile(lock, 'utf8')).toBe(`${pid} ${host}${start === undefined ? '' : ` ${start}`}\n`);
  }
  expect(await readdir(folder)).toEqual([]);
}
const refused = (who: RegExp): Promise<void> => expect(lockRun(folder)).rejects.toThrow(who);

const host = hostname();
const gone = spawnSync(process.execPath, ['-e', '']).pid;

test('a folder is locked once, also for the process that has locked it, and under another name of it', async () => {
  await using _ = await lockRun(folder);
  await refused(new RegExp(`process ${process.pid} is writing there; .*remove ${lock}`));
  await expect(lockRun(join(folder, '.', ''))).rejects.toThrow('is writing there');
  expect(await readdir(folder)).toEqual(['run.lock']);
});

test.each([
  ['of a process that has ended', `${gone} ${host} 1234\n`],
  ["of a process that has ended, in an earlier version's words", `${gone} ${host}\n`],
  ['with the number of this process, which began later', `${process.pid} ${host} 1\n`],
  ["with the number of this process, in an earlier version's words", `${process.pid} ${host}\n`],
  ['with the number of another process, which began later', `${process.ppid} ${host} 1\n`],
  ['without a word', ''],
  ['of zeros, as a loss of power leaves', '\0\0\0\0\0\0'],
  ['that names no process', 'who knows\n'],
  ['of a process that cannot be', `0 ${host} 1\n`],
  ['of a negative number, which means a group', `-${process.ppid} ${host}\n`],
])('a lock %s counts for nothing', async (_, text) => {
  await writeFile(lock, text);
  await taken();
});

test('a lock of a process that runs holds, whether or not it says when that began', async () => {
  const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
  try {
    await new Promise((resolve) => other.once('spawn', resolve));
    const pid = other.pid as number;
    for (const text of [`${pid} ${host}\n`, `${process.ppid} ${host}\n`]) {
      await writeFile(lock, text);
      await refused(new RegExp(`process ${text.split(' ')[0]} is writing there`));
      expect(await readFile(lock, 'utf8')).toBe(text);
    }
    if (process.platform !== 'linux') return;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const start = stat.split(') ')[1]?.split(' ')[19];
    await writeFile(lock, `${pid} ${host} ${start}\n`);
    await refused(new RegExp(`process ${pid} is writing there`));
  } finally {
    other.kill('SIGKILL');
    await rm(lock, { force: true });
  }
});

test('a lock of this very process holds, where another copy of the code has made it', async () => {
  const { pid, start } = await ownProcess();
  if (start === undefined) return;
  await writeFile(lock, `${pid} ${host} ${start}\n`);
  await refused(new RegExp(`process ${pid} is writing there`));
  await rm(lock);
});

test('a lock of another machine holds, also with the number of this process', async () => {
  for (const pid of [gone, process.pid]) {
    await writeFile(lock, `${pid} elsewhere 1\n`);
    await refused(new RegExp(`process ${pid} on elsewhere is writing there`));
  }
  await rm(lock);
});

test('of runs that find the same stale lock at once, one goes on', async () => {
  await writeFile(lock, `${gone} ${host} 1234\n`);
  const script = `
    import { lockRun } from './dpo/train/run/lockRun.node.ts';
    await lockRun(process.argv[1]).then(() => console.log('taken'), () => console.log('refused'));
    setTimeout(() => {}, 2000);`;
  const runs = [0, 1, 2].map(
    () =>
      new Promise<string>((resolve) => {
        const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, '--', folder]);
        child.stdout.once('data', (piece) => resolve(String(piece).trim()));
      }),
  );
  expect((await Promise.all(runs)).sort()).toEqual(['refused', 'refused', 'taken']);
});

test('what has become of a process', async () => {
  const own = await ownProcess();
  if (process.platform !== 'win32') expect(own.start).toMatch(/^\d+$/);
  expect(await fateOf(own)).toBe(own.start === undefined ? 'ended' : 'own');
  expect(await fateOf({ pid: gone, host, start: undefined })).toBe('ended');
  expect(await fateOf({ pid: process.ppid, host, start: undefined })).toBe('running');
  expect(await fateOf({ pid: process.ppid, host: 'elsewhere', start: undefined })).toBe('elsewhere');
});

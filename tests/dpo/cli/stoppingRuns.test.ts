import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensorsFile } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyRun } from '../tinyPipeline.ts';
import { runCli } from './runCli.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopping-'));
  await tinyRun(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (...parts: string[]): string => join(folder, ...parts);
const base = (): string[] => ['--model', at('base'), '--device', 'wasm'];

/** Flags of a run that does not end by itself. */
const training = (output: string, ...more: string[]): string[] => [
  ...['train', ...base(), '--pairs', at('pairs.parquet'), '--output', at(output), '--steps', '100000'],
  ...['--batch-size', '2', '--learning-rate', '1e-4', '--log-every', '1', '--beta', '500', ...more],
];

/** What a run leaves that was stopped: a checkpoint that can be read and nothing half written or locked. */
async function checkLeft(output: string): Promise<void> {
  const names = await readdir(at(output), { recursive: true });
  expect(names.filter((name) => /run\.lock|\.tmp$|\.saving/.test(name))).toEqual([]);
  const saved = names.filter((name) => name.endsWith('state.safetensors'));
  expect(saved.length).toBe(1);
  await (await openSafetensorsFile(at(output, saved[0] as string))).close();
}

const close = (child: ChildProcess): void => {
  child.stdout?.destroy();
  child.stderr?.destroy();
};

test.concurrent.each([
  ['SIGTERM', 'SIGTERM', 143],
  ['SIGHUP', 'SIGHUP', 129],
  ['outputs that are closed', close, 141],
] as const)('a run keeps its work and gives its folder free at %s', async (name, send, code) => {
  const output = name.replaceAll(' ', '-');
  const ended = await runCli(training(output), { says: /step 2:/, send });
  expect([ended.code, ended.signal]).toEqual([code, null]);
  if (typeof send === 'string') expect(ended.err).toMatch(/stopped after step \d+; run the same command to resume/);
  await checkLeft(output);
});

test.skipIf(!existsSync('/dev/full'))(
  'a full disk behind stderr stops a run, behind stdout it is an error in words (where there is /dev/full)',
  async () => {
    await using full = await open('/dev/full', 'w');
    const [run, told] = await Promise.all([
      runCli(training('full'), undefined, { stderr: full.fd }),
      runCli(['inspect', at('base')], undefined, { stdout: full.fd }),
    ]);
    expect(run.code).toBe(1);
    await checkLeft('full');
    expect(told).toMatchObject({ code: 1, err: 'error: cannot write to stdout: the disk is full\n' });
  },
);

test.concurrent('Ctrl-C twice ends a run at once in the middle of a step, without the lock', async () => {
  // A step of the reference executor on 4096 pairs takes a minute.
  const flags = training('twice', '--device', 'reference', '--batch-size', '4096');
  const press = (child: ChildProcess): void => {
    child.kill('SIGINT');
    setTimeout(() => child.kill('SIGINT'), 700);
  };
  let pressed = 0;
  const ended = await runCli(flags, {
    says: /plain JavaScript/,
    send: (child) => {
      pressed = performance.now();
      setTimeout(() => press(child), 300);
    },
  });
  expect(ended.code).toBe(130);
  expect(ended.err).toContain('press Ctrl-C again to stop at once');
  expect(ended.err).not.toMatch(/step 1:|stopped after/);
  expect(performance.now() - pressed).toBeLessThan(20_000);
  const names = await readdir(at('twice'));
  expect(names).toContain('metrics.jsonl');
  expect(names.filter((name) => name.endsWith('.lock'))).toEqual([]);
});

test.concurrent('pretrain and evaluate end as they are told', async () => {
  const { tinyScheduler, tinyTextEncoder, tinyUNet, flatImage } = await import('../tinyPipeline.ts');
  const { writeCaptioned } = await import('diffusion-dpo/dpo/node');
  await writeCaptioned([{ caption: 'one', image: flatImage([1, 2, 3]) }], at('one.parquet'));
  const pretraining = {
    ...{ unet: tinyUNet, textEncoder: tinyTextEncoder, scheduler: tinyScheduler, merges: 5, images: 'one.parquet' },
    ...{ output: 'pretrained', device: 'wasm', steps: 100_000, batchSize: 1 },
  };
  await writeFile(at('pretrain.json'), JSON.stringify(pretraining));
  await cp(at('base'), at('tuned'), { recursive: true });
  const many = ['--sample-batch-size', '1', '--sampling-steps', '50', '--device', 'wasm'];
  const evaluation = [
    ...['evaluate', '--base', at('base'), '--tuned', at('tuned'), '--pairs', at('pairs.parquet'), '--train-pairs'],
    ...[at('pairs.parquet'), '--preferred', 'bright', '--samples', '1000', '--output', at('evaluated'), ...many],
  ];
  const soon = (signal: NodeJS.Signals) => (child: ChildProcess) => void setTimeout(() => child.kill(signal), 100);
  const [pretrained, evaluated] = await Promise.all([
    runCli(['pretrain', '--config', at('pretrain.json')], { says: /1 images/, send: soon('SIGHUP') }),
    runCli([...evaluation, '--most-pairs', '3'], { says: /warning: .*mostPairs/, send: soon('SIGTERM') }),
  ]);
  expect(pretrained.code).toBe(129);
  await checkLeft('pretrained');
  // No images are drawn for a checkpoint that is only for going on.
  expect((await readdir(at('pretrained'))).filter((name) => name.endsWith('.png'))).toEqual([]);
  expect([evaluated.code, evaluated.err.split('\n').at(-2)]).toEqual([143, 'stopped']);
});

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadModelFolder } from 'diffusion-dpo/diffusion/node';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a TypeScript program as `npm start` does, and gives the lines that it printed. */
async function linesOf(program: string, ...options: readonly string[]): Promise<string[]> {
  const words = ['--import', 'tsx', program, ...options];
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: root });
  return stdout.trimEnd().split('\n');
}

test('the spirals example learns to tell the spirals apart, by a gradient that is right', async () => {
  const lines = await linesOf('examples/spirals.ts');
  const steps = lines.flatMap((line) => {
    const [, step, loss, accuracy] = /^step (\d+) +loss ([\d.]+) +accuracy ([\d.]+) %$/.exec(line) ?? [];
    return step === undefined ? [] : [{ step: Number(step), loss: Number(loss), accuracy: Number(accuracy) }];
  });
  expect(steps.map(({ step }) => step)).toEqual([50, 100, 150, 200, 250, 300, 350, 400]);
  expect(steps.at(-1)?.accuracy).toBeGreaterThanOrEqual(98);
  expect(steps.at(-1)?.loss).toBeLessThan(0.15);

  const [, difference, directions] =
    /^gradient: within (\S+) of .* in (\d+) directions$/.exec(lines.at(-1) ?? '') ?? [];
  expect(Number(difference)).toBeLessThan(1e-6);
  expect(Number(directions)).toBeGreaterThan(0);
});

test('the DDPM example, stopped and gone on with, ends where one that was not stopped does', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ddpm-'));
  const optionsFor = (name: string, every: number) => [
    ...['--steps', '20', '--batch', '2', '--samples', '1', '--sampling', '2', '--every', String(every)],
    '--out',
    join(folder, name),
  ];
  const whole = await linesOf('examples/ddpm.ts', ...optionsFor('whole', 100));
  expect(whole.at(-1)).toMatch(/^20 steps; samples\.png, loss\.svg and the model's folder unet are in /);

  const words = ['--import', 'tsx', 'examples/ddpm.ts', ...optionsFor('parts', 1)];
  const running = spawn(process.execPath, words, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  running.stdout.on('data', (text: Buffer) => {
    printed += String(text);
  });
  const ended = once(running, 'exit');
  // It is told to stop as soon as there is a checkpoint.
  const files = (): Promise<string[]> => readdir(join(folder, 'parts')).catch(() => []);
  while (!(await files()).includes('checkpoint.safetensors')) {
    if (running.exitCode !== null) throw new Error(`it ended before there was a checkpoint: ${printed}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  running.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
  expect(printed).toMatch(/stopped after step 1?\d; the same command goes on from there/);
  const parts = await linesOf('examples/ddpm.ts', ...optionsFor('parts', 100));
  expect(parts[0]).toMatch(/; going on after step 1?\d$/);

  for (const name of ['checkpoint.safetensors', 'samples.png', 'loss.svg']) {
    const [one, other] = await Promise.all(['parts', 'whole'].map((run) => readFile(join(folder, run, name))));
    expect(one?.equals(other as Buffer), name).toBe(true);
  }
  const { config } = await loadModelFolder(join(folder, 'parts', 'unet'));
  expect(config._class_name).toBe('UNet2DModel');
  const other = linesOf('examples/ddpm.ts', ...optionsFor('whole', 100), '--seed', '1');
  await expect(other).rejects.toThrow('choose another folder with --out');
  await rm(folder, { recursive: true });
}, 300_000);

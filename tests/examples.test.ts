import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a TypeScript program as `npm start` does, and gives the lines that it printed. */
async function linesOf(program: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program], { cwd: root });
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

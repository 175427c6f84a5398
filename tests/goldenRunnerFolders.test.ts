import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { saveSafetensors } from '../tensor/index.node.ts';
import { openDevice, type Tensor, tensor } from '../tensor/index.ts';
import { readArchive } from './goldenRunner/archive.ts';
import { passed } from './goldenRunner/families/family.ts';
import { type Report, runGolden } from './goldenRunner/run.ts';

// Copies of golden folders that are changed: other cases, fewer files, other settings.

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'golden-'));
});
afterEach(() => rm(folder, { recursive: true }));

const golden = (name: string) => fileURLToPath(new URL(`./golden/${name}`, import.meta.url));
const run = async (): Promise<Report> => runGolden([folder], { device: await openDevice('wasm'), dtype: 'f32' });
const remove = (name: string): Promise<void> => rm(join(folder, name));

type Json = Record<string, unknown>;
async function changeJson(name: string, change: (json: Json) => void): Promise<void> {
  const path = join(folder, name);
  const json = JSON.parse(await readFile(path, 'utf8')) as Json;
  change(json);
  await writeFile(path, JSON.stringify(json));
}

async function changeTensors(
  name: string,
  change: (tensors: Map<string, Tensor>) => Map<string, Tensor>,
): Promise<void> {
  const path = join(folder, name);
  await saveSafetensors(path, Object.fromEntries(change(await readArchive(path))));
}

/** Names of the tensors that differ, and what else is wrong. */
const wrong = (report: Report): string[] =>
  report.cases
    .filter((one) => !passed(one))
    .flatMap(({ comparisons, problems }) => [
      ...comparisons.filter((comparison) => !comparison.passed).map((comparison) => comparison.tensor),
      ...problems,
    ]);
const leftOut = (report: Report): string[] => report.leftOut.map(({ name, reason }) => `${name}: ${reason}`);

describe('golden runner: runs of optimisers', () => {
  beforeEach(async () => {
    await cp(golden('dpo/sdxl'), folder, { recursive: true });
    await remove('io.safetensors');
    await remove('grads.safetensors');
    await remove('ref/diffusion_pytorch_model.safetensors');
    await remove('ref/config.json');
    // One update of one run is enough to see what it is computed from.
    await changeJson('trajectory.json', (json) => {
      json.runs = [{ ...(json.runs as Json[])[0], updates: 1 }];
    });
    await changeTensors(
      'trajectory.safetensors',
      (tensors) =>
        new Map([...tensors].flatMap(([name, x]) => (name.startsWith('adamw.') ? [[name, x.sliceAxis(0, 0, 1)]] : []))),
    );
    await remove('trajectory_final.safetensors');
  });

  /** What the run says, beside the steps, whose files are not there. */
  async function runTrajectory(): Promise<Report> {
    const report = await run();
    return { ...report, cases: report.cases.filter(({ name }) => name !== '(file)') };
  }

  test('without the final parameters', async () => {
    const report = await runTrajectory();
    expect(wrong(report)).toEqual([]);
    expect(report.cases[0]?.comparisons).toHaveLength(5);
    expect(leftOut(report)).toEqual(['trajectory_final.safetensors: the file is not there']);
  });

  test('the resolution of io.json', async () => {
    await changeJson('io.json', (json) => {
      json.resolution_in_time_ids = 97;
    });
    expect(wrong(await runTrajectory())).toEqual(['grad_norm']);
  });

  test('stored time ids rather than the resolution', async () => {
    await changeJson('io.json', (json) => {
      json.resolution_in_time_ids = 97;
    });
    await changeTensors('trajectory.safetensors', (tensors) => {
      const rows = Array.from({ length: 6 }, () => [96, 96, 0, 0, 96, 96]).flat();
      return tensors.set('adamw.in.time_ids', tensor(rows, { shape: [1, 6, 6] }));
    });
    expect(wrong(await runTrajectory())).toEqual([]);
  });

  test.each([
    ['the betas', { beta_start: 0.001 }],
    ['the number of time steps', { num_train_timesteps: 900 }],
    ['what is predicted', { prediction_type: 'v_prediction' }],
  ])('%s of the scheduler in io.json', async (_, fields) => {
    await changeJson('io.json', (json) => {
      json.scheduler = { ...(json.scheduler as Json), ...fields };
    });
    expect(wrong(await runTrajectory())).toContain('grad_norm');
  });

  test('no scheduler anywhere', async () => {
    await remove('io.json');
    const report = await run();
    expect(report.cases.flatMap(({ problems }) => problems)).toContain("no file states a 'scheduler'");
  });
});

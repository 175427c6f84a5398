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

describe('golden runner: UNets', () => {
  beforeEach(async () => {
    await cp(golden('unet/sd15'), folder, { recursive: true });
    // One small case is enough.
    await changeJson('io.json', (json) => {
      json.cases = (json.cases as Json[]).filter(({ name }) => name === 'odd_size');
    });
    await changeTensors(
      'io.safetensors',
      (tensors) => new Map([...tensors].filter(([name]) => name.startsWith('odd_size.'))),
    );
    await remove('grads.safetensors');
    await remove('intermediates.safetensors');
  });

  test('without gradients of parameters and what is inside', async () => {
    const report = await run();
    expect(wrong(report)).toEqual([]);
    expect(report.comparedTensors).toBe(4);
    expect(leftOut(report)).toEqual([
      'grads.safetensors: the file is not there',
      'intermediates.safetensors: the file is not there',
    ]);
  });

  test('without a target there are no gradients to compare', async () => {
    await changeJson('io.json', (json) => {
      json.cases = (json.cases as Json[]).map(({ param_grad_norms: _, ...rest }) => rest);
    });
    await changeTensors(
      'io.safetensors',
      (tensors) => new Map([...tensors].filter(([name]) => /[.](in[.].*|out)$/.test(name))),
    );
    const report = await run();
    expect(wrong(report)).toEqual([]);
    expect(report.comparedTensors).toBe(1);
    expect(leftOut(report).slice(0, 2)).toEqual([
      'odd_size param_grad_norms: the data has nothing to compare it with',
      'odd_size target: the data has nothing to compare it with',
    ]);
  });

  test('gradients belong to the case that names their file', async () => {
    await cp(join(golden('unet/sd15'), 'grads.safetensors'), join(folder, 'grads.safetensors'));
    await changeJson('io.json', (json) => {
      const [only] = json.cases as Json[];
      json.cases = [only, { ...only, name: 'other', full_param_grads_in: 'grads.safetensors' }];
    });
    await changeTensors('io.safetensors', (tensors) => {
      for (const [name, x] of [...tensors]) tensors.set(name.replace('odd_size', 'other'), x);
      return tensors;
    });
    const report = await run();
    // They are of the first case of the whole data, so that they differ; of the first case here nothing is compared with them.
    expect(report.cases.map((one) => [one.name, passed(one)])).toEqual([
      ['odd_size', true],
      ['other', false],
    ]);
  });

  test.each([['another file in the folder', 'other.safetensors', 'no file of a known kind describes these tensors']])(
    '%s is not passed over',
    async (_, name, problem) => {
      await cp(join(folder, 'io.safetensors'), join(folder, name));
      expect(wrong(await run())).toEqual([problem]);
    },
  );

  test('a missing file of weights is named', async () => {
    await remove('diffusion_pytorch_model.safetensors');
    expect(wrong(await run())[0]).toContain('diffusion_pytorch_model.safetensors');
  });

  test('another input', async () => {
    await changeTensors('io.safetensors', (tensors) => tensors.set('odd_size.in.class_labels', tensor([1])));
    expect(wrong(await run())).toEqual(['the inputs class_labels are not understood']);
  });
});

describe('golden runner: schedulers', () => {
  beforeEach(async () => {
    for (const end of ['json', 'safetensors'])
      await cp(golden(`schedulers/euler.${end}`), join(folder, `euler.${end}`));
    await changeJson('euler.json', (json) => {
      json.cases = (json.cases as Json[]).filter(({ name }) => name === 'karras');
    });
    await changeTensors(
      'euler.safetensors',
      (tensors) => new Map([...tensors].filter(([name]) => name.startsWith('karras.'))),
    );
  });
  const change = (name: string, by: number) =>
    changeTensors('euler.safetensors', (tensors) => tensors.set(name, (tensors.get(name) as Tensor).add(by)));

  test('time steps in f32 are right within 1e-3', async () => {
    await change('karras.timesteps', 5e-4);
    await change('karras.add_noise.timesteps', 5e-4);
    expect(wrong(await run())).toEqual([]);
  });

  test('time steps that are further off', async () => {
    await change('karras.timesteps', 3e-3);
    expect(wrong(await run())).toEqual(['timesteps']);
  });

  test('noise at something that is no time step', async () => {
    await change('karras.add_noise.timesteps', 0.1);
    expect(wrong(await run())[0]).toMatch(/ is no time step$/);
  });

  test.each([
    ['E', 'free run'],
    ['model_outputs', 'single steps'],
  ])('without %s there is no %s', async (name, left) => {
    await changeTensors('euler.safetensors', (tensors) => {
      tensors.delete(`karras.${name}`);
      return tensors;
    });
    const report = await run();
    expect(wrong(report)).toEqual([]);
    expect(leftOut(report)).toEqual([`karras ${left}: the data has not all tensors that it needs`]);
  });

  test.each([
    ['s_churn', 3, 'samples'],
    ['order', 4, "the argument 'order' of steps is not understood"],
  ])('the argument %s of steps', async (name, value, expected) => {
    await changeJson('euler.json', (json) => {
      json.cases = (json.cases as Json[]).map((one) => ({ ...one, step_arguments: { [name]: value } }));
    });
    expect(wrong(await run())).toContain(expected);
  });

  test('a case whose name begins with that of another', async () => {
    await changeJson('euler.json', (json) => {
      const [only] = json.cases as Json[];
      json.cases = [only, { ...only, name: 'karras.2' }];
    });
    await changeTensors('euler.safetensors', (tensors) => {
      for (const [name, x] of [...tensors]) tensors.set(name.replace('karras', 'karras.2'), x);
      return tensors;
    });
    const report = await run();
    expect(wrong(report)).toEqual([]);
    expect(report.comparedTensors).toBe(report.expectedTensors);
  });
});

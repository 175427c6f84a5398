import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { saveSafetensors } from '../tensor/index.node.ts';
import { openDevice, type Tensor, take, tensor } from '../tensor/index.ts';
import { readArchive } from './goldenRunner/archive.ts';
import { passed } from './goldenRunner/families/family.ts';
import { type Report, runGolden, succeeded } from './goldenRunner/run.ts';

// Golden data of objectives that are changed: other options, shapes, names, scripts.

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'golden-'));
});
afterEach(() => rm(folder, { recursive: true }));

interface Case {
  name: string;
  options: Record<string, unknown>;
}
interface Data {
  repository: string;
  cases: Case[];
}
type Tensors = Map<string, Tensor>;

/** Checks one of the golden folders after a change. */
async function runChanged(name: string, change: (data: Data, tensors: Tensors) => void): Promise<Report> {
  const source = fileURLToPath(new URL(`./golden/objectives/${name}`, import.meta.url));
  const data = JSON.parse((await readFile(join(source, 'io.json'), 'utf8')).replace(/\bNaN\b/g, 'null')) as Data;
  const tensors = await readArchive(join(source, 'io.safetensors'));
  change(data, tensors);
  await writeFile(join(folder, 'io.json'), JSON.stringify(data));
  await saveSafetensors(join(folder, 'io.safetensors'), Object.fromEntries(tensors));
  return runGolden([folder], { device: await openDevice('reference'), dtype: 'f64' });
}

const caseOf = (data: Data, name: string): Case => data.cases.find((one) => one.name === name) as Case;
const keepOnly = (data: Data, tensors: Tensors, name: string): Case => {
  data.cases = [caseOf(data, name)];
  for (const key of tensors.keys()) if (!key.startsWith(`${name}.`)) tensors.delete(key);
  return caseOf(data, name);
};

/** Names of the tensors that differ, and what else is wrong. */
const wrong = (report: Report): string[] =>
  report.cases
    .filter((one) => !passed(one))
    .flatMap(({ comparisons, problems }) => [
      ...comparisons.filter((comparison) => !comparison.passed).map((comparison) => comparison.tensor),
      ...problems,
    ])
    .sort();

test.each([
  ['dspo', 'sdxl_far', 'the other loss that DSPO has for SDXL is not among the objectives'],
  ['kto', 'loss_averse', "the utility function 'loss_averse' is not among kto's"],
  ['kto', 'offset_sigmoid', "the offset 'sigmoid' is not among kto's"],
  ['kto', 'kto_gp', "the loss 'kto_gp' is not among the objectives"],
])('%s, %s is left out', async (folderName, name, reason) => {
  const report = await runChanged(folderName, (data, tensors) => keepOnly(data, tensors, name));
  expect(report.leftOut).toMatchObject([{ name, reason }]);
  expect(report.leftOut[0]?.tensors).toBeGreaterThan(9);
  expect(report.comparedTensors).toBe(0);
  expect(succeeded(report)).toBe(true);
});

test('tensors inside a script are left out, each kind with its number', async () => {
  const report = await runChanged('safeguard', () => undefined);
  const reason = 'nothing of the library corresponds to it';
  expect(report.leftOut.map(({ file: _, ...rest }) => rest).sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    { name: 'lose_l_scale', reason, tensors: 4 },
    { name: 'scale_term', reason, tensors: 4 },
  ]);
  expect(succeeded(report)).toBe(true);
});

test.each([
  ['mapo', 'defaults', { beta_mapo: 0.2 }],
  ['mapo', 'defaults', { snr_value: 0.6 }],
  ['mapo', 'defaults', { num_train_timesteps: 900 }],
  ['kto', 'weights', { lambda_u_kto: 0.8 }],
  ['kto', 'weights', { lambda_d_kto: 0.8 }],
  ['dmpo', 'alpha_0.1', { dmpo_alpha: 0.2 }],
  ['diffusers_example', 'ipo', { beta_dpo: 21 }],
])('%s, %s takes the options %o', async (folderName, name, options) => {
  const report = await runChanged(folderName, (data, tensors) => {
    Object.assign(keepOnly(data, tensors, name).options, options);
  });
  expect(wrong(report)).toEqual(['grad.model_pred', 'loss']);
});

test.each([
  ['safeguard', 'bound', 'winner_preserving_mu', 0.5],
  ['safeguard', 'bound', 'winner_preserving_mu', null],
])('%s, %s with %s %s has another gradient and the same loss', async (folderName, name, option, value) => {
  const report = await runChanged(folderName, (data, tensors) => {
    keepOnly(data, tensors, name).options[option] = value;
  });
  expect(wrong(report)).toEqual(['grad.model_pred']);
});

test.each([
  [
    'an unknown option',
    (data: Data) => Object.assign(caseOf(data, 'beta100').options, { margin: 1 }),
    "the option 'margin' is not understood",
  ],
  [
    'a missing option',
    (data: Data) => {
      caseOf(data, 'beta100').options = {};
    },
    "the parameter 'beta_dpo' is missing; it should be a number",
  ],
  [
    'an unknown repository',
    (data: Data) => {
      data.repository = 'toString';
    },
    'the repository "toString" is not known',
  ],
  [
    'a tensor that nothing is known of',
    (_: Data, tensors: Tensors) => tensors.set('beta100.other', tensor(1)),
    "nothing was computed for 'other'",
  ],
  [
    'a tensor of no case',
    (_: Data, tensors: Tensors) => tensors.set('beta99.loss', tensor(1)),
    "the tensor 'beta99.loss' belongs to no case",
  ],
  [
    'a missing input',
    (_: Data, tensors: Tensors) => tensors.delete('beta100.in.target'),
    "the tensor 'in.target' is missing",
  ],
])('%s is a failure', async (_, change, message) => {
  const report = await runChanged('sudo', change);
  expect(wrong(report)).toContain(message);
  expect(succeeded(report)).toBe(false);
});

test.each([0, 1])('images of one kind alone, labelled %i', async (label) => {
  const report = await runChanged('kto', (data, tensors) => {
    keepOnly(data, tensors, 'sigmoid');
    const labels = [1, 0, 1, 1, 1, 0, 0];
    const rows = labels.flatMap((one, i) => (one === label ? [i] : []));
    for (const [key, x] of tensors) {
      if (x.shape[0] === labels.length) tensors.set(key, take(x, tensor(rows, { dtype: 'i32' })));
    }
  });
  // Errors are those of each image; the rest depends on the whole batch.
  expect(wrong(report)).toEqual(['acc', 'g_term', 'grad.model_pred', 'loss']);
  const errors = report.cases.flatMap(({ comparisons }) => comparisons.map(({ error }) => error));
  expect(errors.every(Number.isFinite)).toBe(true);
  expect(report.cases[0]?.comparisons.filter((one) => one.passed).map((one) => one.tensor)).toEqual([
    'model_losses',
    'ref_loss',
  ]);
});

test('pairs of another shape', async () => {
  const report = await runChanged('sudo', (_, tensors) => {
    for (const [key, x] of tensors) {
      if (x.rank === 4) tensors.set(key, x.reshape([x.shape[0] as number, x.size / (x.shape[0] as number)]));
    }
  });
  expect(wrong(report)).toEqual([]);
});

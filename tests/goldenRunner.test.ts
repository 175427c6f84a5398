import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSafetensorsFile, saveSafetensors } from '../tensor/index.node.ts';
import { add, openDevice, type Tensor, tensor, zeros } from '../tensor/index.ts';
import { describeComparison } from './goldenRunner/compare.ts';
import { passed } from './goldenRunner/families/family.ts';
import { type Report, runGolden, succeeded } from './goldenRunner/run.ts';

const golden = (name: string) => fileURLToPath(new URL(`./golden/ops/${name}`, import.meta.url));

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'golden-'));
});
afterEach(() => rm(folder, { recursive: true }));

const run = async (path = folder): Promise<Report> =>
  runGolden([path], { device: await openDevice('reference'), dtype: 'f64' });

/** What the failed cases say, one text for each. */
const failures = (report: Report): string[] =>
  report.cases
    .filter((one) => !passed(one))
    .map(({ name, problems, comparisons }) => {
      const wrong = comparisons.filter((comparison) => !comparison.passed).map(describeComparison);
      return `${name}: ${[...wrong, ...problems].join('; ')}`;
    });

interface Case {
  name: string;
  op: string;
  params: Record<string, unknown>;
  differentiable: string[];
  tensors: Record<string, readonly number[]>;
}
type Tensors = Map<string, Tensor>;

/** Writes a file of operator cases. */
async function write(cases: readonly unknown[], tensors: Tensors, name = 'data'): Promise<void> {
  await writeFile(join(folder, `${name}.json`), JSON.stringify({ computed: 'float64 from float32 inputs', cases }));
  await saveSafetensors(join(folder, `${name}.safetensors`), Object.fromEntries(tensors));
}

/** A case made of values: its entry, with its tensors added to `tensors`. */
function caseOf(
  name: string,
  op: string,
  params: Record<string, unknown>,
  values: Record<string, Tensor>,
  tensors: Tensors,
): Case {
  for (const [key, value] of Object.entries(values)) tensors.set(`${name}.${key}`, value);
  const keys = Object.keys(values);
  return {
    name,
    op,
    params,
    differentiable: keys.filter((key) => key.startsWith('grad.')).map((key) => key.slice(5)),
    tensors: Object.fromEntries(Object.entries(values).map(([key, { shape }]) => [key, shape])),
  };
}

/** Checks the cases of losses.json, seven of them, after a change to the data. */
async function runChanged(change: (cases: Case[], tensors: Tensors) => void): Promise<Report> {
  const { cases } = JSON.parse(await readFile(golden('losses.json'), 'utf8')) as { cases: Case[] };
  await using archive = await openSafetensorsFile(golden('losses.safetensors'));
  const tensors = await archive.readAll();
  change(cases, tensors);
  await write(cases, tensors);
  return run();
}

const first = (cases: readonly Case[]): Case => cases[0] as Case;
const at = (tensors: Tensors, key: string): Tensor => tensors.get(key) as Tensor;

describe('golden runner: data that it must not pass over', () => {
  const changes: [string, string, (cases: Case[], tensors: Tensors) => void][] = [
    [
      'a perturbed output',
      'mse_mean: out: relative L2 error 3.',
      (_, tensors) => tensors.set('mse_mean.out', add(at(tensors, 'mse_mean.out'), 1)),
    ],
    [
      'a perturbed gradient',
      'mse_mean: grad.b: relative L2 error',
      (_, tensors) => tensors.set('mse_mean.grad.b', add(at(tensors, 'mse_mean.grad.b'), 1e-6)),
    ],
    [
      'NaN in a result',
      'mse_none: out: NaN at element 0, bound 2.0e-7; grad.a: NaN',
      (_, tensors) => tensors.set('mse_none.in.a', add(at(tensors, 'mse_none.in.a'), Number.NaN)),
    ],
    [
      'an output of another shape',
      'mse_none: out: shape [5, 6], not [30]',
      (cases, tensors) => {
        tensors.set('mse_none.out', zeros([30]));
        Object.assign(cases.find(({ name }) => name === 'mse_none')?.tensors ?? {}, { out: [30] });
      },
    ],
    [
      'a shape unlike the table',
      `mse_mean: the tensor 'out' has shape [], the table says [1]`,
      (cases) => Object.assign(first(cases).tensors, { out: [1] }),
    ],
    [
      'an unknown operator',
      'mse_mean: the operator "constructor" is not known',
      (cases) => Object.assign(first(cases), { op: 'constructor' }),
    ],
    [
      'an unknown parameter',
      `mse_mean: the parameter 'weighted' is not understood`,
      (cases) => Object.assign(first(cases).params, { weighted: true }),
    ],
    [
      'an unknown value of a parameter',
      `mse_mean: the parameter 'reduction' is "median"; it should be 'mean' or 'sum' or 'none'`,
      (cases) => Object.assign(first(cases).params, { reduction: 'median' }),
    ],
    [
      'an unknown field of a case',
      `mse_mean: 'backend' in the case is not understood`,
      (cases) => Object.assign(first(cases), { backend: 'gpu' }),
    ],
    [
      'an unknown input',
      `mse_mean: the input 'weight' is not understood`,
      (cases, tensors) => {
        tensors.set('mse_mean.in.weight', zeros([1]));
        Object.assign(first(cases).tensors, { 'in.weight': [1] });
      },
    ],
    [
      'a tensor that belongs to no case',
      'other.out: this tensor belongs to no case',
      (_, tensors) => tensors.set('other.out', zeros([1])),
    ],
    [
      'a tensor of no known role',
      'mse_mean.output: this tensor belongs to no case',
      (_, tensors) => tensors.set('mse_mean.output', zeros([1])),
    ],
    [
      'an output beyond those computed',
      `mse_mean: nothing was computed for the tensor 'out1'`,
      (cases, tensors) => {
        tensors.set('mse_mean.out1', zeros([1]));
        Object.assign(first(cases).tensors, { out1: [1] });
      },
    ],
    ['a missing input', `mse_mean: the tensor 'in.b' is missing`, (_, tensors) => tensors.delete('mse_mean.in.b')],
    ['a missing output', `mse_mean: the tensor 'out' is missing`, (_, tensors) => tensors.delete('mse_mean.out')],
    ['a missing cotangent', `mse_mean: the tensor 'cot' is missing`, (_, tensors) => tensors.delete('mse_mean.cot')],
    [
      'a differentiable input without a gradient',
      `mse_mean: there is no tensor 'grad.b' to compare with`,
      (cases, tensors) => {
        tensors.delete('mse_mean.grad.b');
        delete first(cases).tensors['grad.b'];
      },
    ],
    [
      'a gradient of an input that is not differentiable',
      `mse_mean: nothing was computed for the tensor 'grad.b'`,
      (cases) => first(cases).differentiable.pop(),
    ],
  ];

  test.each(changes)('%s', async (_, message, change) => {
    const report = await runChanged(change);
    expect(failures(report)).toHaveLength(1);
    expect(failures(report)[0]).toContain(message);
    expect(succeeded(report)).toBe(false);
  });

  test('two cases of one name', async () => {
    const report = await runChanged((cases) => cases.push(first(cases)));
    expect(failures(report)).toEqual(['mse_mean: another case has the same name']);
  });

  test('an expected tensor that was not compared shows in the counts', async () => {
    const report = await runChanged((_, tensors) => tensors.set('mse_mean.output', zeros([1])));
    expect(report.expectedTensors).toBe(report.comparedTensors + 1);
  });

  test('unchanged data passes, whether by folder or by file', async () => {
    const report = await runChanged(() => undefined);
    expect(failures(report)).toEqual([]);
    expect(report).toMatchObject({ passed: 7, failed: 0, expectedTensors: 18, comparedTensors: 18 });
    expect(await run(join(folder, 'data.json'))).toMatchObject({ passed: 7, failed: 0 });
  });
});

describe('golden runner: files that it must not pass over', () => {
  test('a JSON file without its tensors', async () => {
    await copyFile(golden('losses.json'), join(folder, 'losses.json'));
    const report = await run();
    expect(report).toMatchObject({ passed: 0, failed: 7 });
    expect(failures(report)[0]).toBe('mse_mean: there is no safetensors file of the same name');
  });

  test('tensors without their JSON file', async () => {
    await mkdir(join(folder, 'deep'));
    await copyFile(golden('losses.safetensors'), join(folder, 'deep', 'losses.safetensors'));
    expect(failures(await run())).toEqual(['(file): no file of a known kind describes these tensors']);
  });

  test('a broken safetensors file', async () => {
    await copyFile(golden('losses.json'), join(folder, 'losses.json'));
    await writeFile(join(folder, 'losses.safetensors'), 'not tensors');
    expect(await run()).toMatchObject({ passed: 0, failed: 7 });
  });

  test.each([
    ['data.json', '{ "cases": [', '(file): not a JSON file'],
    ['data.json', '{ "cases": [] }', '(file): no kind of golden data that is known looks like this'],
    ['data.npz', '', '(file): a file of an unknown kind'],
    ['README.md', '', '(file): there is no golden data here'],
  ])('%s holding %o', async (name, text, message) => {
    await writeFile(join(folder, name), text);
    const report = await run();
    expect(failures(report)).toHaveLength(1);
    expect(failures(report)[0]).toContain(message);
  });
});

test('golden runner: other parameters of the same operators', async () => {
  const tensors: Tensors = new Map();
  const one = (data: number[], shape: readonly number[] = [data.length]) => tensor(data, { shape });
  const cot3 = one([1, 1, 1]);
  const row = one([1, 2, 4], [1, 1, 1, 3]);
  const cases = [
    caseOf(
      'a.dotted.name',
      'pow_3',
      {},
      { 'in.x': one([1, 2, -3]), out: one([1, 8, -27]), cot: cot3, 'grad.x': one([3, 12, 27]) },
      tensors,
    ),
    caseOf(
      'clamp',
      'clamp_-0.5_1e1',
      {},
      { 'in.x': one([-2, 3, 11]), out: one([-0.5, 3, 10]), cot: cot3, 'grad.x': one([0, 1, 0]) },
      tensors,
    ),
    caseOf(
      'var',
      'var',
      { axes: [-1], unbiased: true, keepdim: true },
      { 'in.x': one([1, 2, 6]), out: one([7]), cot: one([1]), 'grad.x': one([-2, -1, 3]) },
      tensors,
    ),
    caseOf(
      'max',
      'max',
      { axes: null, keepdim: false },
      { 'in.x': one([1, 9, 2, 3], [2, 2]), out: one([9], []), cot: one([2], []), 'grad.x': one([0, 2, 0, 0], [2, 2]) },
      tensors,
    ),
    caseOf(
      'chunk',
      'chunk',
      { chunks: 2, axis: 0 },
      {
        'in.x': one([1, 2, 3]),
        out0: one([1, 2]),
        out1: one([3]),
        cot0: one([5, 6]),
        cot1: one([7]),
        'grad.x': one([5, 6, 7]),
      },
      tensors,
    ),
    caseOf(
      'expand',
      'expand',
      { shape: [2, -1] },
      { 'in.x': one([1, 2]), out: one([1, 2, 1, 2], [2, 2]), cot: one([1, 2, 3, 4], [2, 2]), 'grad.x': one([4, 6]) },
      tensors,
    ),
    caseOf(
      'linear',
      'linear',
      {},
      { 'in.input': one([1, 2]), 'in.weight': one([3, 4], [1, 2]), out: one([11]) },
      tensors,
    ),
    caseOf(
      'pool',
      'avg_pool2d',
      { kernel: [1, 2], stride: [1, 2], padding: [0, 1], count_include_pad: false },
      { 'in.x': row, out: one([1, 3], [1, 1, 1, 2]) },
      tensors,
    ),
    caseOf(
      'conv',
      'pad(1,0,0,0)+conv2d',
      { stride: [1, 2] },
      { 'in.x': row, 'in.weight': one([1, 10], [1, 1, 1, 2]), out: one([10, 42], [1, 1, 1, 2]) },
      tensors,
    ),
    caseOf(
      'upsample',
      'upsample_nearest',
      { scale_factor: [2, 1] },
      { 'in.x': row, out: one([1, 2, 4, 1, 2, 4], [1, 1, 2, 3]) },
      tensors,
    ),
    caseOf(
      'argmax',
      'argmax',
      { axis: 0 },
      { 'in.x': one([1, 3, 2]), out: tensor([1], { shape: [], dtype: 'i32' }) },
      tensors,
    ),
  ];
  await write(cases, tensors);
  const report = await run();
  expect(failures(report)).toEqual([]);
  expect(report).toMatchObject({ passed: cases.length, failed: 0 });
  expect(succeeded(report)).toBe(true);
});

describe('npm run golden', () => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  async function golden(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    const command = ['--import', 'tsx', 'tests/goldenRunner/cli.ts', ...args];
    const started = promisify(execFile)(process.execPath, command, { cwd: root });
    return started.then(
      ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ status: code, stdout, stderr }),
    );
  }

  test('prints failures, counts, and the verdict last', async () => {
    await runChanged((_, tensors) => tensors.set('mse_mean.out', add(at(tensors, 'mse_mean.out'), 1)));
    const { status, stdout } = await golden(folder);
    const lines = stdout.trimEnd().split('\n');
    expect(status).toBe(1);
    expect(lines[0]).toMatch(/^FAILED .*data\.json mse_mean: out: relative L2 error .*, bound 2\.0e-7$/);
    expect(lines.slice(1)).toEqual(['18 expected tensors, 18 compared', '6 passed, 1 failed']);
  });

  test('passes data that agrees, and reports it as JSON on request', async () => {
    await runChanged(() => undefined);
    const { status, stdout } = await golden(folder, '--dtype', 'f32', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ device: 'reference', dtype: 'f32', passed: 7, failed: 0 });
  });

  test.each([
    ['no folder', []],
    ['a folder that does not exist', ['nowhere']],
    ['a device that does not exist', ['tests/golden', '--device', 'abacus']],
    ['a dtype that does not exist', ['tests/golden', '--dtype', 'f16']],
    ['an option that does not exist', ['tests/golden', '--fast']],
  ])('refuses %s', async (_, args) => {
    const { status, stdout, stderr } = await golden(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('usage: npm run golden');
  });
});

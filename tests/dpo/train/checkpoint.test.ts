import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { train } from 'diffusion-dpo/dpo/node';
import { tensor } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { latestCheckpoint, saveCheckpoint } from '../../../dpo/train/checkpoint.node.ts';
import { tinyRun } from '../tinyPipeline.ts';

let folder: string;
let original: string;
let checkpoints: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkpoint-'));
  original = join(folder, 'original');
  checkpoints = join(folder, 'checkpoints');
  for (const step of [1, 2, 3])
    await saveCheckpoint(original, step, { weight: tensor([step, 1, 2]) }, { settings: { beta: 1 } }, 9);
});
beforeEach(async () => {
  await rm(checkpoints, { recursive: true, force: true });
  await cp(original, checkpoints, { recursive: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newest = (file: string): string => join(checkpoints, 'step-00000003', file);

/** The step that is gone on from, and what is said. */
async function latest(): Promise<readonly [step: number | undefined, told: readonly string[]]> {
  const told: string[] = [];
  return [(await latestCheckpoint(checkpoints, (message) => told.push(message)))?.step, told];
}

test('the latest checkpoint is gone on from, and nothing is said', async () => {
  expect(await latest()).toEqual([3, []]);
});

async function changeLastByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  await writeFile(path, bytes);
}

test.each([
  ['weights that are cut short', () => truncate(newest('state.safetensors'), 90), /state\.safetensors/],
  ['weights of nothing', () => truncate(newest('state.safetensors'), 0), /state\.safetensors/],
  [
    'one byte of its weights changed',
    () => changeLastByte(newest('state.safetensors')),
    /bytes are not those that were/,
  ],
  ['no weights', () => rm(newest('state.safetensors')), /state\.safetensors: there is no such file/],
  ['no record', () => rm(newest('checkpoint.json')), /checkpoint\.json: there is no such file/],
  ['a record that is cut short', () => truncate(newest('checkpoint.json'), 9), /checkpoint\.json is not valid JSON/],
  ['a record of zeros', () => writeFile(newest('checkpoint.json'), new Uint8Array(20)), /checkpoint\.json/],
  ['a record of another step', () => writeFile(newest('checkpoint.json'), '{"step": 2}'), /is of step 2, not 3/],
  ['a record without settings', () => writeFile(newest('checkpoint.json'), '{"step": 3}'), /what the settings were/],
  [
    'a folder in place of the weights',
    async () => {
      await rm(newest('state.safetensors'));
      await mkdir(newest('state.safetensors'));
    },
    /it is a folder/,
  ],
])('a checkpoint with %s is passed over for the one before, which is said', async (_, damage, problem) => {
  await damage();
  const [step, told] = await latest();
  expect(step).toBe(2);
  expect(told).toEqual([expect.stringMatching(/^a damaged checkpoint is passed over for that of step 2: /)]);
  expect(told[0]).toMatch(problem);
});

test('a checkpoint of an earlier version, which has no hash of its weights, is read', async () => {
  const { stateHash, ...record } = JSON.parse(await readFile(newest('checkpoint.json'), 'utf8')) as {
    stateHash: string;
  };
  expect(stateHash).toMatch(/^[0-9a-f]{64}$/);
  await writeFile(newest('checkpoint.json'), JSON.stringify(record));
  expect(await latest()).toEqual([3, []]);
});

test('several damaged ones are passed over; where all are, that is an error and not a new beginning', async () => {
  await rm(newest('checkpoint.json'));
  await rm(join(checkpoints, 'step-00000002', 'state.safetensors'));
  const [step, told] = await latest();
  expect([step, told.length]).toEqual([1, 2]);
  await writeFile(join(checkpoints, 'step-00000001', 'checkpoint.json'), '');
  await expect(latest()).rejects.toThrow(/no checkpoint can be read: .*step-00000003.*step-00000002.*Remove them/);
});

test('a checkpoint that cannot be read for another reason than damage is not passed over', async () => {
  await rm(newest('state.safetensors'));
  await symlink(newest('state.safetensors'), newest('state.safetensors'));
  await expect(latest()).rejects.toThrow('its symbolic links lead in a circle');
});

test('a run goes on from the checkpoint before a damaged one, and removes what a killed run left', async () => {
  const settings = await tinyRun(folder);
  const whole = await train({ ...settings, output: join(folder, 'whole') });
  await cp(join(folder, 'whole'), settings.output, { recursive: true });
  const inside = (...parts: string[]): string => join(settings.output, ...parts);
  await truncate(inside('checkpoints', 'step-00000006', 'state.safetensors'), 100);
  for (const remains of ['checkpoints/step-00000008.tmp', 'model/unet/.saving'].map((path) => inside(path))) {
    await mkdir(remains, { recursive: true });
    await writeFile(join(remains, 'state.safetensors'), '');
  }
  const warnings: string[] = [];
  const result = await train(settings, {
    onWarning: (message) => warnings.push(message),
    onStart: (_, { from }) => expect(from).toBe(4),
  });
  expect(warnings).toContainEqual(expect.stringMatching(/passed over for that of step 4: .*step-00000006/));
  expect(result.rows.at(-1)?.loss).toBe(whole.rows.at(-1)?.loss);
  const weights = (output: string): Promise<Buffer> =>
    readFile(join(output, 'checkpoints/step-00000006/state.safetensors'));
  expect((await weights(settings.output)).equals(await weights(join(folder, 'whole')))).toBe(true);
  expect((await readdir(inside('checkpoints'))).sort()).toEqual(['step-00000004', 'step-00000006']);
  expect(await readdir(inside('model', 'unet'))).not.toContain('.saving');
});

import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { inspectCommand } from '../../../dpo/cli/inspectCommand.node.ts';
import { runProgram } from '../../../dpo/cli/program.node.ts';
import { pngFile } from '../../../dpo/config/fields.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inspect-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** What inspect prints of a folder with this scheduler. */
async function toldOf(name: string, config: object): Promise<string> {
  const place = join(folder, name);
  await mkdir(place);
  await writeFile(join(place, 'scheduler_config.json'), JSON.stringify(config));
  const lines: unknown[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line) => lines.push(line));
  await inspectCommand().parseAsync([place], { from: 'user' });
  log.mockRestore();
  return lines.join('\n').replaceAll(place, 'scheduler');
}

test('inspect says which fields of a configuration have no effect, and that it clips', async () => {
  expect(await toldOf('ddim', { _class_name: 'DDIMScheduler', use_karras_sigmas: true, eta: 0 })).toBe(
    [
      'scheduler: DDIMScheduler',
      '  clips predicted images to [−1, 1] (clip_sample)',
      '  fields without effect here: use_karras_sigmas, eta',
    ].join('\n'),
  );
});

test('inspect says why a configuration cannot be used', async () => {
  expect(await toldOf('broken', { _class_name: 'DDIMScheduler', clip_samples: true })).toContain(
    '  clip_samples: is not known here',
  );
});

/** What the command line prints with these words, and the status of the process. */
async function run(...args: string[]): Promise<{ readonly told: string; readonly code: typeof process.exitCode }> {
  const lines: unknown[] = [];
  const spies = (['log', 'error'] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((line) => lines.push(line)),
  );
  await runProgram(args);
  for (const spy of spies) spy.mockRestore();
  const code = process.exitCode;
  process.exitCode = undefined;
  return { told: lines.join('\n'), code };
}

test('inspect says what is broken and goes on; where all is, it ends with 1', async () => {
  const place = join(folder, 'parts');
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(join(place, name.split('/')[0] as string), { recursive: true });
    await writeFile(join(place, name), text);
  };
  await write('a/config.json', '{');
  await write('b/model.safetensors', 'short');
  await write('c/checkpoint.json', '{"step": 1}');
  await write('d/scheduler_config.json', '{"_class_name": "DDIMScheduler", "clip_samples": true}');
  const broken = await run('inspect', place);
  for (const problem of [
    /a\/config\.json is not valid JSON/,
    /b\/model\.safetensors: /,
    /c\/checkpoint\.json: it does not say/,
  ])
    expect(broken.told).toMatch(problem);
  expect(broken.told).toMatch(/d: DDIMScheduler\n.*\n? *clip_samples: is not known here/);
  expect(broken.code).toBe(1);
  const json = await run('inspect', place, '--json');
  expect(json.code).toBe(1);
  const parts = JSON.parse(json.told) as { problems: string[] }[];
  expect(parts.map(({ problems }) => problems.length > 0)).toEqual([true, true, true, true]);

  await write('e/scheduler_config.json', '{"_class_name": "DDIMScheduler"}');
  const partly = await run('inspect', place);
  expect(partly.told).toMatch(/e: DDIMScheduler/);
  expect(partly.told).toMatch(/a\/config\.json is not valid JSON/);
  expect(partly.code).toBeUndefined();
});

test('inspect follows links to files, as caches have them', async () => {
  await mkdir(join(folder, 'blobs'));
  await mkdir(join(folder, 'snapshot'));
  await writeFile(join(folder, 'blobs', '0123'), '{"_class_name": "DDIMScheduler"}');
  await symlink(join(folder, 'blobs', '0123'), join(folder, 'snapshot', 'scheduler_config.json'));
  await symlink(folder, join(folder, 'snapshot', 'circle'));
  expect((await run('inspect', join(folder, 'snapshot'))).told).toMatch(/^\S*snapshot: DDIMScheduler$/m);
});

test('data inspect ends with 1 where no pair can be read, and draws nothing', async () => {
  const data = join(folder, 'broken.jsonl');
  const sheet = join(folder, 'sheet.png');
  const row = { caption: 'a', winner: 'nowhere.png', loser: 'nowhere.png' };
  await writeFile(data, `${JSON.stringify(row)}\n${JSON.stringify(row)}\n`);
  for (const more of [['--sheet', sheet], ['--no-sheet'], ['--json', '--no-sheet']]) {
    const { told, code } = await run('data', 'inspect', data, ...more);
    expect(told).toMatch(/2 broken|"broken":\["/);
    expect(told).toMatch(/none of 2 pairs can be read/);
    expect(code).toBe(1);
  }
  expect(await stat(sheet).catch(() => 'none')).toBe('none');
});

test.each(['grid.jpg', 'grid.JPEG', 'a.b/grid.webp', 'grid.', 'folder/', 'grid.png.gif'])(
  'an output that is called %s is refused before any work: it would be a PNG',
  async (name) => {
    const output = join(folder, name) + (name.endsWith('/') ? '/' : '');
    const sampled = await run('sample', '--model', 'nowhere', '--captions', 'a', '--output', output);
    expect(sampled.told).toMatch(
      /output: must be a file whose name ends with \.png, or has no ending, got ".*grid|folder/,
    );
    const drawn = await run('data', 'inspect', 'nowhere', '--sheet', output);
    expect(drawn.told).toMatch(/--sheet must be a file whose name ends with \.png, or has no ending, got '/);
    expect([sampled.code, drawn.code]).toEqual([1, 1]);
  },
);

test.each(['grid.png', 'grid.PNG', 'grid', 'a.b/grid', '.png'])('an output that is called %s is a PNG', (name) => {
  expect(pngFile(name)).toEqual({ value: name });
});

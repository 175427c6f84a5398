import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { inspectCommand } from '../../../dpo/cli/inspectCommand.node.ts';

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

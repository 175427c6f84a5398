import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeCaptioned, writePickAPic } from 'diffusion-dpo/dpo/node';
import { tensor } from 'diffusion-dpo/tensor';
import { saveSafetensors } from 'diffusion-dpo/tensor/node';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runProgram } from '../../../dpo/cli/program.node.ts';
import { flatImage, tinyRun, tinyScheduler, tinyTextEncoder, tinyUNet } from '../tinyPipeline.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const outputs = /^(stdout|stderr|emitWarning|writeSync)$/;

/** Whether a piece of source writes to a terminal, or takes what does. */
function writes(node: ts.Node): boolean {
  if (ts.isIdentifier(node)) return node.text === 'console' || node.text === 'writeSync';
  if (ts.isPropertyAccessExpression(node))
    return outputs.test(node.name.text) && /\bprocess$/.test(node.expression.getText());
  return ts.isBindingElement(node) && outputs.test((node.propertyName ?? node.name).getText());
}

/** Files that may write: the way out of the command line, its progress bar, and the library's one warning. */
const mayWrite = ['dpo/cli/progress.node.ts', 'dpo/cli/terminal.node.ts', 'tensor/webgpu/auto.ts'];

test('nothing but a few files, which print foreign text as printable has it, writes to a terminal', async () => {
  const found: string[] = [];
  for (const layer of ['tensor', 'autograd', 'nn', 'diffusion', 'dpo']) {
    for (const name of await readdir(join(root, layer), { recursive: true })) {
      const file = join(layer, name).replaceAll('\\', '/');
      if (!file.endsWith('.ts')) continue;
      const text = await readFile(join(root, file), 'utf8');
      if (!/console|stdout|stderr|emitWarning|writeSync/.test(text)) continue;
      const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
      const visit = (node: ts.Node): void => {
        if (writes(node) && !found.includes(file)) found.push(file);
        ts.forEachChild(node, visit);
      };
      visit(source);
    }
  }
  expect(found.sort()).toEqual(mayWrite);
});

/** What a terminal would obey: a title, colours, a line that is written over, and C1's beginning of a sequence. */
const hostile = '\x1b]0;owned\x07\x1b[31mx\r\x9b2J\u202e';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'printing-'));
  await tinyRun(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (...parts: string[]): string => join(folder, ...parts);
const json = async (path: string, value: unknown): Promise<string> => {
  await writeFile(path, JSON.stringify(value));
  return path;
};

/** Calls that print foreign text, with what makes them: a folder of their own each. */
const calls: Record<string, (own: string) => Promise<readonly string[]>> = {
  'an unknown command': async () => [hostile],
  'an unknown command with help': async () => [hostile, '--help'],
  'an unknown option': async () => ['train', `--${hostile}`],
  'a path that is not there': async (own) => ['inspect', join(own, hostile)],
  'a configuration file that is not there': async (own) => ['train', '--config', join(own, hostile)],
  'an unknown key': async (own) => ['train', '--config', await json(join(own, 'a.json'), { [hostile]: 1 })],
  'a wrong value': async (own) => ['train', '--config', await json(join(own, 'a.json'), { objective: hostile })],
  'a file that is no JSON': async (own) => {
    await writeFile(join(own, 'a.json'), `{"${'a'}": ${hostile}}`);
    return ['train', '--config', join(own, 'a.json')];
  },
  'a class, a path and the name of a tensor': async (own) => {
    const inner = join(own, hostile);
    await mkdir(inner);
    await json(join(inner, 'config.json'), { _class_name: hostile });
    await saveSafetensors(join(inner, 'model.safetensors'), [[hostile, tensor([1])]]);
    return ['inspect', own, '--tensors'];
  },
  'a class in JSON': async (own) => {
    await json(join(own, 'config.json'), { _class_name: hostile });
    return ['inspect', own, '--json'];
  },
  'a checkpoint': async (own) => {
    const settings = { [hostile]: hostile, steps: hostile };
    await json(join(own, 'checkpoint.json'), { step: hostile, settings, position: { epoch: hostile } });
    await saveSafetensors(join(own, 'state.safetensors'), [['a', tensor([1])]]);
    return ['inspect', own];
  },
  'a header that is broken': async (own) => {
    const header = JSON.stringify({ [hostile]: 3 });
    const bytes = Buffer.from(`00000000${header}`);
    bytes.writeBigUInt64LE(BigInt(bytes.length - 8));
    await writeFile(join(own, 'a.safetensors'), bytes);
    return ['inspect', join(own, 'a.safetensors')];
  },
  'image paths in JSON lines': async (own) => {
    const row = { caption: 'a', winner: hostile, loser: `${hostile}.png` };
    await writeFile(join(own, 'a.jsonl'), `${JSON.stringify(row)}\n`);
    return ['data', 'inspect', join(own, 'a.jsonl'), '--no-sheet'];
  },
  'a line that is broken': async (own) => {
    await writeFile(join(own, 'a.jsonl'), `{"caption": ${hostile}\n`);
    return ['data', 'inspect', join(own, 'a.jsonl'), '--no-sheet'];
  },
  'names of models, in words': async (own) => {
    await writePickAPic(
      [
        {
          caption: hostile,
          winner: flatImage([9, 9, 9]),
          loser: flatImage([1, 1, 1]),
          models: { winner: hostile, loser: hostile },
        },
      ],
      join(own, `${hostile}.parquet`),
    );
    return ['data', 'inspect', join(own, `${hostile}.parquet`), '--sheet', join(own, `${hostile}.png`)];
  },
  'a scheduler of another class': async (own) => {
    await cp(at('base'), own, { recursive: true });
    await json(join(own, 'scheduler', 'scheduler_config.json'), { _class_name: hostile });
    return ['sample', '--model', own, '--captions', 'a', '--device', 'reference', '--output', join(own, 'a.png')];
  },
  'rows that are skipped in training, and its folder': async (own) => {
    const rows = [{ caption: 'a', winner: hostile, loser: hostile }];
    await writeFile(join(own, 'a.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return [
      'train',
      '--model',
      at('base'),
      '--pairs',
      join(own, 'a.jsonl'),
      '--output',
      join(own, hostile),
      '--device',
      'reference',
      '--steps',
      '1',
    ];
  },
  'what pretraining says': async (own) => {
    await writeCaptioned([{ caption: hostile, image: flatImage([1, 2, 3]) }], join(own, `${hostile}.parquet`));
    const settings = {
      ...{ unet: tinyUNet, textEncoder: tinyTextEncoder, scheduler: tinyScheduler, merges: 5, sampleSteps: 1 },
      ...{ images: `${hostile}.parquet`, output: hostile, device: 'reference', steps: 1, batchSize: 1 },
    };
    return ['pretrain', '--config', await json(join(own, 'a.json'), settings)];
  },
  'a reward module': async (own) => {
    await writeFile(join(own, 'reward.mjs'), `throw new Error(${JSON.stringify(hostile)});`);
    return [
      ...['evaluate', '--base', at('base'), '--tuned', at('base'), '--pairs', at('pairs.parquet'), '--train-pairs'],
      ...[
        at('pairs.parquet'),
        '--device',
        'reference',
        '--output',
        join(own, 'o'),
        '--reward',
        join(own, 'reward.mjs'),
      ],
    ];
  },
};

test.each(Object.keys(calls))('%s: nothing that a terminal obeys is printed', async (name) => {
  const own = await mkdtemp(join(folder, 'own-'));
  const args = await (calls[name] as (own: string) => Promise<readonly string[]>)(own);
  let told = '';
  const hear = (piece: unknown): true => {
    told += String(piece);
    return true;
  };
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(hear),
    vi.spyOn(console, 'error').mockImplementation(hear),
    vi.spyOn(process.stdout, 'write').mockImplementation(hear),
    vi.spyOn(process.stderr, 'write').mockImplementation(hear),
    vi.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`ended with ${code}`);
    }),
  ];
  await runProgram(args).catch(() => undefined);
  for (const spy of spies) spy.mockRestore();
  process.exitCode = undefined;
  expect(told).toContain('owned');
  expect(told).not.toMatch(/(?!\n)[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
});

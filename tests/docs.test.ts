import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'node:util';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';

/**
 * The examples of the documentation are programs. Each block that begins with ```ts is a module of its own: it must
 * type-check, run, and print what its `// → …` comments say, one comment for each line. A block that cannot run by
 * itself begins with ```ts no-run and must still type-check.
 */
interface Example {
  /** Where it is: `docs/tensor.md:12`. */
  readonly name: string;
  readonly source: string;
  readonly runs: boolean;
  /** The lines that it must print. */
  readonly expected: readonly string[];
}

const root = fileURLToPath(new URL('..', import.meta.url));

function examplesOf(file: string, text: string): Example[] {
  return [...text.matchAll(/^```ts(.*)\n([\s\S]*?)^```$/gm)].map((match) => {
    const [, words = '', source = ''] = match;
    const flags = words.trim();
    const name = `${file}:${text.slice(0, match.index).split('\n').length}`;
    if (flags !== '' && flags !== 'no-run') throw new Error(`${name}: an example is ts or ts no-run, not ts ${flags}`);
    return {
      name,
      source,
      runs: flags === '',
      expected: [...source.matchAll(/\/\/ → (.*)$/gm)].map(([, line = '']) => line),
    };
  });
}

const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);
const textOf = (file: string): string => readFileSync(join(root, file), 'utf8').replaceAll('\r\n', '\n');
const examples = pages.flatMap((file) => examplesOf(file, textOf(file)));

let folder = '';
const pathOf = (example: Example): string => join(folder, `example${examples.indexOf(example)}.ts`);

beforeAll(async () => {
  // Inside the project, so that the examples' imports mean this project.
  await mkdir(join(root, '.tmp'), { recursive: true });
  folder = await mkdtemp(join(root, '.tmp/docs-'));
  for (const example of examples) await writeFile(pathOf(example), `${example.source}export {};\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(() => {
  vi.restoreAllMocks();
});

describe('the examples of the documentation', () => {
  test('are found', () => {
    const withExamples = new Set(examples.map(({ name }) => name.split(':')[0]));
    expect([...withExamples]).toEqual(expect.arrayContaining(['README.md', 'docs/autograd.md', 'docs/tensor.md']));
  });

  test('say what they print', () => {
    expect(examples.filter(({ runs, expected }) => runs && expected.length === 0).map(({ name }) => name)).toEqual([]);
  });

  test('type-check', () => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const program = ts.createProgram(examples.map(pathOf), { ...options, noUnusedLocals: false });
    const problems = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
      const example = examples.find((one) => file !== undefined && pathOf(one) === join(file.fileName));
      const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line + 1;
      return `${example?.name ?? file?.fileName}, line ${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
    expect(problems).toEqual([]);
  });

  const programs = examples.filter(({ runs }) => runs).map((example) => [example.name, example] as const);
  test.each(programs)('%s prints what it says', async (_, example) => {
    const printed: string[] = [];
    vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
      printed.push(...format(...values).split('\n'));
    });
    await import(/* @vite-ignore */ pathOf(example));
    expect(printed.map((line) => line.trimEnd())).toEqual(example.expected);
  });
});

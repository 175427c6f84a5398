import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import { build, type Rolldown } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const minutes = (count: number) => count * 60_000;

/** Runs a program to its end and gives what it printed; a failure says all of it. */
async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, {
      cwd,
      // Only npm started by its name, on Windows, needs a shell.
      shell: program === 'npm' && process.platform === 'win32',
      maxBuffer: 2 ** 26,
    });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}

/** npm, where possible the one that runs these tests. */
const npm = (args: readonly string[], cwd: string): Promise<string> => {
  const path = process.env.npm_execpath;
  return path?.endsWith('.js') ? run(process.execPath, [path, ...args], cwd) : run('npm', args, cwd);
};

const tsc = (project: string): Promise<string> =>
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project], consumer);

const consumerSource = `
import { checkpoint, grad, hvp, valueAndGrad } from 'diffusion-dpo/autograd';
import { type DType, key, random, read, realize, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import * as testing from 'diffusion-dpo/testing';

// Methods are typed, not \`any\`.
const x: Tensor = tensor([1, 2, 3]).add(1).softmax(-1).square();
// @ts-expect-error: a tensor is no string
const text: string = x.add(1);
// @ts-expect-error: there is no such method
x.inverse();
// @ts-expect-error: axes are numbers
x.sum('rows');
// @ts-expect-error: there is no such dtype
const dtype: DType = 'f80';

interface Params {
  readonly weight: Tensor;
}
const loss = ({ weight }: Params, target: Tensor): Tensor => weight.sub(target).square().mean();
const [value, gradients]: [Tensor, Params] = valueAndGrad(loss)({ weight: x }, tensor([0, 0, 0]));
const second: Tensor = hvp((v: Tensor) => checkpoint((w: Tensor) => w.exp())(v).sum(), x, x);
const { weight } = await realize(grad(loss)({ weight: x }, random.normal(key(0), [3])), { donate: gradients });
const values: ArrayLike<number> = await read(weight);
export { dtype, openSafetensorsFile, saveSafetensors, second, testing, text, value, values };
`;

const program = `
import { grad } from 'diffusion-dpo/autograd';
import { read, tensor } from 'diffusion-dpo/tensor';
import { openSafetensorsFile, saveSafetensors } from 'diffusion-dpo/tensor/node';
import { checkGradients } from 'diffusion-dpo/testing';

const gradient = grad((x) => x.square().sum())(tensor([1, 2, 3]));
await saveSafetensors('gradient.safetensors', { gradient });
const file = await openSafetensorsFile('gradient.safetensors');
console.log(JSON.stringify([...(await read(await file.read('gradient')))]), typeof checkGradients);
await file.close();
`;

const page = `
import { grad } from 'diffusion-dpo/autograd';
import { read, tensor } from 'diffusion-dpo/tensor';
import { checkGradients } from 'diffusion-dpo/testing';

export const answer = read(grad((x) => x.square().sum())(tensor([1, 2, 3])));
export const kind = typeof checkGradients;
`;

const compilerOptions = {
  target: 'ES2022',
  lib: ['ES2022', 'ESNext.Disposable', 'DOM'],
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  noEmit: true,
};
const modules = {
  nodenext: { module: 'NodeNext', moduleResolution: 'NodeNext' },
  bundler: { module: 'ESNext', moduleResolution: 'Bundler' },
};

let folder = '';
let consumer = '';
let installed = '';
let published: readonly string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusion-dpo-package-'));
  consumer = join(folder, 'consumer');
  await mkdir(consumer);
  await npm(['pack', '--pack-destination', folder], root);
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('npm pack made no tarball');

  await writeFile(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  // What the package depends on is installed here already: a copy of that needs no network.
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  const dependencies = Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional && existsSync(join(root, path)))
    .map(([path]) => join(root, path));
  const quiet = ['--install-links', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  await npm(['install', ...quiet, join(folder, tarball), ...dependencies], consumer);
  installed = join(consumer, 'node_modules/diffusion-dpo');
  published = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(entry.parentPath.slice(installed.length + 1).replaceAll('\\', '/'), entry.name));
}, minutes(5));

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the published package', () => {
  test('holds the built layers, the README and the licence, and nothing else', () => {
    expect(published).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'dist/tensor/index.js']));
    expect(published.filter((path) => !/^(dist\/.*\.(js|d\.ts)|package\.json|README\.md|LICENSE)$/.test(path))).toEqual(
      [],
    );
    expect(published.filter((path) => /(^|\/)(tests?|golden|bench|examples)\//.test(path))).toEqual([]);
  });

  test('has every file that it exports', () => {
    const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      exports: Record<string, string | Record<string, string>>;
    };
    const targets = Object.values(exports).flatMap((entry) =>
      typeof entry === 'string' ? entry : Object.values(entry),
    );
    expect(targets.filter((target) => !published.includes(posix.normalize(target)))).toEqual([]);
  });

  test('has every file that its programs and declarations import', () => {
    const missing = published
      .filter((path) => /\.(js|d\.ts)$/.test(path))
      .flatMap((path) => {
        const source = readFileSync(join(installed, path), 'utf8');
        const specifiers = [...source.matchAll(/(?:from|import|module)\s*\(?\s*['"](\.[^'"]+)['"]/g)];
        return specifiers.flatMap(([, specifier = '']) => {
          const target = join(installed, dirname(path), specifier);
          // Declarations name the .ts that they were made from, and TypeScript finds the .d.ts beside it.
          const found = path.endsWith('.d.ts') ? target.replace(/\.[tj]s$/, '.d.ts') : target;
          return existsSync(found) ? [] : [`${path} imports '${specifier}'`];
        });
      });
    expect(missing).toEqual([]);
  });

  test.each(['nodenext', 'bundler'] as const)(
    'type-checks in a strict project with module resolution %s',
    async (kind) => {
      await writeFile(join(consumer, 'consumer.ts'), consumerSource);
      const config = { compilerOptions: { ...compilerOptions, ...modules[kind] }, files: ['consumer.ts'] };
      await writeFile(join(consumer, `tsconfig.${kind}.json`), JSON.stringify(config));
      await tsc(`tsconfig.${kind}.json`);
    },
    minutes(2),
  );

  test('runs in Node', async () => {
    await writeFile(join(consumer, 'program.js'), program);
    expect(await run(process.execPath, ['program.js'], consumer)).toBe('[2,4,6] function\n');
  });

  test('bundles for the browser and runs there without anything of Node', async () => {
    await writeFile(join(consumer, 'page.js'), page);
    const result = await build({
      root: consumer,
      configFile: false,
      logLevel: 'silent',
      build: { write: false, lib: { entry: join(consumer, 'page.js'), formats: ['iife'], name: 'page' } },
    });
    const outputs = (Array.isArray(result) ? result : [result]) as Rolldown.RolldownOutput[];
    const chunks = outputs.flatMap(({ output }) => output.filter((part) => part.type === 'chunk'));
    expect(chunks).toHaveLength(1);
    const [{ code, imports }] = chunks as [Rolldown.OutputChunk];
    expect(imports).toEqual([]);
    expect(code).not.toMatch(/['"`]node:|\brequire\(|__vite-browser-external/);

    // A context has the language and what we give it: no process, Buffer or require.
    const context = createContext({ console, performance, TextEncoder, TextDecoder });
    runInContext(code, context);
    expect(Array.from((await runInContext('page.answer', context)) as Float32Array)).toEqual([2, 4, 6]);
    expect(runInContext('page.kind', context)).toBe('function');
  });
});

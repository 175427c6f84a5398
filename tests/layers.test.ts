import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

/** The layers, lowest first. A file may use its own layer and those before it. */
const layers = ['tensor', 'autograd', 'nn', 'diffusion', 'dpo'];

/** Packages that files under a folder may import; all others may import none. */
const packages: Readonly<Record<string, readonly string[]>> = {
  'autograd/testing/': ['fast-check'],
  'diffusion/text/': ['entities'],
  'dpo/cli/': ['commander', 'cli-progress'],
  'dpo/data/': ['exifr', 'fast-png', 'hyparquet', 'hyparquet-compressors', 'hyparquet-writer', '@napi-rs/image'],
};

/** The executors. They share no code that computes, so that each can check the others. */
const executors = ['tensor/reference/', 'tensor/wasm/', 'tensor/webgpu/'];
/** What the executors `wasm` and `webgpu` share besides the compiler, without numerics; it is closed to `reference`. */
const shared = 'tensor/executor/';
/** The files outside of an executor that may import it: one opens devices, the other exports Threefry. */
const openers = ['tensor/openDevice.ts', 'tensor/index.ts'];

/** The inner door of `tensor`, open to one other layer and no package export. bench/ and tests/ may import any file. */
const innerDoor = 'tensor/internal.ts';
const innerLayer = 'autograd';

const root = fileURLToPath(new URL('..', import.meta.url));
const layerOf = (file: string): string => file.split('/')[0] as string;
const needsNode = (file: string): boolean => file.endsWith('.node.ts');
const isTesting = (file: string): boolean => file.startsWith('autograd/testing/');

/** The modules that a file imports, statically or dynamically, exports from or augments. */
const specifiersOf = (source: string): string[] =>
  ts.preProcessFile(source, true, true).importedFiles.map(({ fileName }) => fileName);

/** A relative import as a path from the root of the project. */
const targetOf = (file: string, specifier: string): string => posix.join(posix.dirname(file), specifier);

/** Why `file`, a path from the root, may not import `specifier`; `undefined` if it may. */
function wrongImport(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return wrongPackage(file, specifier);
  const target = targetOf(file, specifier);
  if (!target.endsWith('.ts')) return 'name the file, with its .ts';
  if (needsNode(target) && !needsNode(file))
    return `only *.node.ts files may import ${target}, which needs Node; this file must work in a browser`;
  const [from, to] = [layerOf(file), layerOf(target)];
  if (!layers.includes(to)) return `${target} is in none of the layers ${layers.join(', ')}`;
  if (from === to) {
    if ((/^[^/]+\/index(\.node)?\.ts$/.test(target) && !isTesting(file)) || target === innerDoor)
      return `inside the layer ${to}, import the file itself instead of ${target}`;
    const executor = executors.find((folder) => target.startsWith(folder));
    if (executor !== undefined && !file.startsWith(executor) && !openers.includes(file))
      return `${target} is part of an executor, which only ${openers.join(' and ')} may import`;
    if (target.startsWith(shared) && file.startsWith('tensor/reference/'))
      return `the reference executor shares nothing with the others, so it may not use ${target}`;
    if (isTesting(target) && !isTesting(file)) return `${target} is for tests of users of ${to}, not for ${to} itself`;
    return undefined;
  }
  if (layers.indexOf(to) > layers.indexOf(from))
    return `imports point down, and ${to} is above ${from} (lowest first: ${layers.join(', ')})`;
  if (target === innerDoor && from === innerLayer) return undefined;
  const doors = needsNode(file) ? [`${to}/index.ts`, `${to}/index.node.ts`] : [`${to}/index.ts`];
  return doors.includes(target) ? undefined : `other layers are entered by ${doors.join(' or ')}, not ${target}`;
}

function wrongPackage(file: string, specifier: string): string | undefined {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  if (specifier.startsWith('node:') || builtinModules.includes(name))
    return needsNode(file) ? undefined : 'only files named *.node.ts may import Node modules';
  if (name === 'diffusion-dpo') return 'inside the project, import by relative path';
  const allowed = Object.entries(packages).some(([folder, names]) => file.startsWith(folder) && names.includes(name));
  return allowed ? undefined : `the package ${name} may not be used here`;
}

/** One line per import of a file that breaks the rule. */
const problemsOf = (file: string, source: string): string[] =>
  specifiersOf(source).flatMap((specifier) => {
    const problem = wrongImport(file, specifier);
    return problem === undefined ? [] : [`${file} imports '${specifier}': ${problem}`];
  });

const files = layers.flatMap((layer) =>
  readdirSync(`${root}/${layer}`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${layer}/${name.replaceAll('\\', '/')}`),
);
const sourceOf = (file: string): string => readFileSync(`${root}/${file}`, 'utf8');

describe('the layers of the project', () => {
  test('are found', () => {
    expect(files).toEqual(expect.arrayContaining(['tensor/index.ts', 'tensor/index.node.ts', 'autograd/index.ts']));
  });

  test('import only downwards, through index.ts, and keep Node out of what runs in a browser', () => {
    expect(files.flatMap((file) => problemsOf(file, sourceOf(file)))).toEqual([]);
  });

  test('import only files that exist', () => {
    const missing = files.flatMap((file) =>
      specifiersOf(sourceOf(file))
        .filter((specifier) => specifier.startsWith('.') && !files.includes(targetOf(file, specifier)))
        .map((specifier) => `${file} imports '${specifier}', which does not exist`),
    );
    expect(missing).toEqual([]);
  });

  test('keep the inner door out of the package', () => {
    const { exports } = JSON.parse(sourceOf('package.json')) as { exports: Record<string, unknown> };
    expect(files).toContain(innerDoor);
    expect(JSON.stringify(exports)).not.toContain('internal');
  });

  test('have no cycle', () => {
    const below = new Map(layers.map((layer) => [layer, new Set<string>()]));
    for (const file of files) {
      for (const specifier of specifiersOf(sourceOf(file)).filter((specifier) => specifier.startsWith('.'))) {
        const to = layerOf(targetOf(file, specifier));
        if (to !== layerOf(file)) below.get(layerOf(file))?.add(to);
      }
    }
    const cycleFrom = (layer: string, path: readonly string[]): readonly string[] | undefined => {
      if (path.includes(layer)) return [...path, layer];
      return [...(below.get(layer) ?? [])].map((next) => cycleFrom(next, [...path, layer])).find(Boolean);
    };
    expect(layers.map((layer) => cycleFrom(layer, [])).find(Boolean)).toBeUndefined();
  });
});

describe('the import rule', () => {
  test.each([
    ['an import from the layer below', 'nn/linear.ts', "import { add } from '../tensor/index.ts';"],
    ['an import from two layers below', 'dpo/loss.ts', "import type { Tensor } from '../tensor/index.ts';"],
    ['an exact file of the same layer', 'tensor/ops/norms.ts', "import { add } from './elementwise.ts';"],
    ['Node in a file that says so', 'tensor/file.node.ts', "import { open } from 'node:fs/promises';"],
    ['a lower layer for Node', 'diffusion/folder.node.ts', "import { fromFile } from '../tensor/index.node.ts';"],
    ['a file of the same executor', 'tensor/wasm/simd/math/exp.ts', "import { steps } from './steps.ts';"],
    ['what two executors share', 'tensor/wasm/a.ts', "import { x } from '../executor/planCache.ts';"],
    ['an executor where devices are opened', 'tensor/openDevice.ts', "import { WasmDevice } from './wasm/device.ts';"],
    ['the index of a folder', 'tensor/index.node.ts', "export * from './safetensors/index.node.ts';"],
    ['fast-check in the gradient checks', 'autograd/testing/arbitraries.ts', "import fc from 'fast-check';"],
    ['the inner door in autograd', 'autograd/vjp.ts', "import { makeNode } from '../tensor/internal.ts';"],
    ['the inner door in the checks', 'autograd/testing/a.ts', "import { dilated } from '../../tensor/internal.ts';"],
    ['gradients in their checks', 'autograd/testing/check.ts', "import { grad } from '../index.ts';"],
  ])('allows %s', (_, file, source) => {
    expect(problemsOf(file, source)).toEqual([]);
  });

  test.each([
    ['an upward import', 'tensor/ops/conv.ts', "import { grad } from '../../autograd/index.ts';", 'imports point down'],
    ['an upward type', 'autograd/vjp.ts', "import type { Layer } from '../nn/index.ts';", 'imports point down'],
    ['an executor in another', 'tensor/wasm/a.ts', "import { erf } from '../reference/erf.ts';", 'part of an executor'],
    ['an executor in the compiler', 'tensor/compiler/a.ts', "import('../wasm/device.ts');", 'part of an executor'],
    ['an executor in what they share', 'tensor/executor/a.ts', "import('../wasm/device.ts');", 'part of an executor'],
    ['what two share in the third', 'tensor/reference/a.ts', "import('../executor/planCache.ts');", 'shares nothing'],
    ['a way past index.ts', 'autograd/vjp.ts', "import { leaf } from '../tensor/placement.ts';", 'tensor/index.ts'],
    ['an export past index.ts', 'nn/index.ts', "export * from '../autograd/vjp.ts';", 'autograd/index.ts'],
    ['the inner door above', 'nn/a.ts', "import { makeNode } from '../tensor/internal.ts';", 'tensor/index.ts'],
    ['an export of the inner door', 'dpo/index.ts', "export * from '../tensor/internal.ts';", 'tensor/index.ts'],
    ['a public export of the inner door', 'tensor/index.ts', "export * from './internal.ts';", 'the file itself'],
    [
      'the inner door inside tensor',
      'tensor/ops/conv.ts',
      "import { makeNode } from '../internal.ts';",
      'the file itself',
    ],
    ['the own index', 'tensor/ops/conv.ts', "import { add } from '../index.ts';", 'the file itself'],
    ['a dynamic import', 'tensor/device.ts', "const nn = await import('../nn/index.ts');", 'imports point down'],
    ['an import for its effect', 'tensor/a.ts', "import '../nn/index.ts';", 'imports point down'],
    ['an augmentation', 'tensor/a.ts', "export {};\ndeclare module '../nn/index.ts' {}", 'imports point down'],
    ['a type by its path', 'tensor/a.ts', "type Layer = import('../nn/index.ts').Layer;", 'imports point down'],
    ['Node in a browser file', 'tensor/a.ts', "import { open } from 'node:fs/promises';", '*.node.ts'],
    ['Node without its prefix', 'tensor/a.ts', "import { join } from 'path';", '*.node.ts'],
    ['a part of Node', 'tensor/a.ts', "import { open } from 'fs/promises';", '*.node.ts'],
    ['a browser file with Node behind', 'tensor/index.ts', "export * from './file.node.ts';", '*.node.ts'],
    ['Node of a lower layer', 'nn/a.ts', "import { fromFile } from '../tensor/index.node.ts';", '*.node.ts'],
    ['a package', 'nn/a.ts', "import { z } from 'zod';", 'zod'],
    ['a package with a scope', 'nn/a.ts', "import x from '@scope/name/part';", '@scope/name'],
    ['fast-check elsewhere', 'autograd/vjp.ts', "import fc from 'fast-check';", 'fast-check'],
    ['another package in the checks', 'autograd/testing/a.ts', "import { test } from 'vitest';", 'vitest'],
    ['the project by name', 'nn/a.ts', "import { add } from 'diffusion-dpo/tensor';", 'relative path'],
    ['the tests', 'nn/a.ts', "import { x } from '../tests/x.ts';", 'none of the layers'],
    ['a file without its ending', 'nn/a.ts', "import { x } from './x';", '.ts'],
    ['the gradient checks from within', 'autograd/vjp.ts', "import { x } from './testing/index.ts';", 'for tests'],
    ['the gradient checks from above', 'nn/a.ts', "import { x } from '../autograd/testing/index.ts';", 'index.ts'],
  ])('refuses %s', (_, file, source, reason) => {
    const problems = problemsOf(file, source);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(file);
    expect(problems[0]).toContain(reason);
  });
});

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

/**
 * The one circle that stays, of types only: a tensor names its device and its node, a device runs tensors, and a node
 * holds tensors. biome.json switches the rule off for these files, `--only` switches it on again.
 */
const allowed = ['tensor/device.ts', 'tensor/primitives.ts', 'tensor/tensor.ts'];

const folders = ['tensor', 'autograd', 'nn', 'diffusion', 'dpo', 'tests', 'bench', 'examples'];

const root = fileURLToPath(new URL('..', import.meta.url));
const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');

type Diagnostic = {
  category: string;
  location: { path: string; start: { line: number } };
};

/** The lines with an import that closes a circle. Biome sees static, dynamic and type-only imports and re-exports. */
function circularImports(folder: string): { file: string; line: string }[] {
  const options = ['--only=suspicious/noImportCycles', '--reporter=json', '--max-diagnostics=none'];
  const { stdout } = spawnSync(process.execPath, [biome, 'lint', ...options, '.'], { cwd: folder, encoding: 'utf8' });
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] };
  return diagnostics.map(({ category, location }) => {
    expect(category).toBe('lint/suspicious/noImportCycles');
    const lines = readFileSync(join(folder, location.path), 'utf8').split('\n');
    return { file: location.path, line: lines[location.start.line - 1] ?? '' };
  });
}

/** True for files with a type such as `import('./a.ts').A`, which Biome does not follow. */
function hasTypeByPath(file: string): boolean {
  const source = readFileSync(join(root, file), 'utf8');
  if (!/\bimport\(\s*['"]\./.test(source)) return false;
  const search = (node: ts.Node): boolean =>
    (ts.isImportTypeNode(node) && /^['"]\./.test(node.argument.getText())) || ts.forEachChild(node, search) === true;
  return search(ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true));
}

describe('circles of imports between files, types included', () => {
  const found = circularImports(root);

  test('are none but the allowed one', () => {
    expect([...new Set(found.map(({ file }) => file))].sort()).toEqual(allowed);
  });

  test('hold nothing but types', () => {
    expect(found.map(({ line }) => line).filter((line) => !line.startsWith('import type '))).toEqual([]);
  });

  test('are not hidden by types by path or by a suppression', () => {
    const files = folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join(folder, name)),
    );
    // Nothing imports a test.
    expect(files.filter((file) => !file.endsWith('.test.ts') && hasTypeByPath(file))).toEqual([]);
    const suppressed = /biome-ignore\S* lint(\/suspicious(\/noImportCycles)?)?:/;
    expect(files.filter((file) => suppressed.test(readFileSync(join(root, file), 'utf8')))).toEqual([]);
  });

  test('are found in a folder that has one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'circles-'));
    try {
      const configuration = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as object;
      writeFileSync(join(folder, 'biome.json'), JSON.stringify({ ...configuration, vcs: { enabled: false } }));
      writeFileSync(join(folder, 'a.ts'), "import type { B } from './b.ts';\nexport type A = B;\n");
      writeFileSync(join(folder, 'b.ts'), "export type { A as B } from './c.ts';\n");
      writeFileSync(join(folder, 'c.ts'), "export const a = () => import('./a.ts');\nexport type A = string;\n");
      expect(circularImports(folder).map(({ file }) => file)).toEqual(['a.ts', 'b.ts', 'c.ts']);
      writeFileSync(join(folder, 'c.ts'), 'export type A = string;\n');
      expect(circularImports(folder)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

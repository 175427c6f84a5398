import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** The sources of the package's doors by name, as `exports` in package.json lists them. */
const doors = Object.entries((JSON.parse(read('package.json')) as { exports: Record<string, unknown> }).exports)
  .filter((entry): entry is [string, { types: string }] => typeof entry[1] === 'object')
  .map(([door, { types }]) => ({
    door: door.slice(2),
    file: join(root, types.replace('./dist/', '').replace(/\.d\.ts$/, '.ts')),
  }));

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent({ ...config, files: doors.map(({ file }) => file) }, ts.sys, root);
const program = ts.createProgram({ rootNames: doors.map(({ file }) => file), options });
const checker = program.getTypeChecker();

/** A door's exports and those of namespaces among them, such as `random.normal`, with the place that declares each. */
function exportsOf(module: ts.Symbol, prefix = ''): { name: string; symbol: ts.Symbol }[] {
  return checker.getExportsOfModule(module).flatMap((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const name = prefix + exported.name;
    return symbol.flags & ts.SymbolFlags.ValueModule ? exportsOf(symbol, `${name}.`) : [{ name, symbol }];
  });
}

/** One line for each export without a docstring. */
function undocumented(file: string): string[] {
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${file} exports nothing`);
  const exported = exportsOf(module);
  expect(exported).not.toEqual([]);
  return exported
    .filter(({ symbol }) => ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim() === '')
    .map(({ name, symbol }) => {
      const declaration = symbol.declarations?.[0];
      return `${declaration?.getSourceFile().fileName.replace(root, '')}: ${name}`;
    });
}

describe('every export has a docstring', () => {
  test.each(doors)('in $door', ({ file }) => {
    expect(undocumented(file)).toEqual([]);
  });
});

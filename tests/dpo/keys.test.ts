import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { imageKeys } from 'diffusion-dpo/diffusion';
import { key, openDevice, random, read, setDefaultDevice, stack } from 'diffusion-dpo/tensor';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { hostKeyFor, keyFor, keyPurposes } from '../../dpo/keys.ts';

setDefaultDevice(await openDevice('reference'));

test('every purpose keeps its place, on which the numbers of earlier runs depend', () => {
  expect(keyPurposes).toEqual([
    ...['images', 'training', 'loraInit', 'validation', 'modelInit', 'pretraining', 'groupOrder', 'rowOrder'],
    ...['transforms', 'judges', 'ranking', 'kl', 'measures', 'bootstrap'],
  ]);
});

test.each([0, 7, 2 ** 32, 2 ** 53 - 1])('the keys of seed %i are those of one split', async (seed) => {
  const split = await read(stack(random.split(key(seed), keyPurposes.length), 0));
  const own = await read(
    stack(
      keyPurposes.map((purpose) => keyFor(seed, purpose)),
      0,
    ),
  );
  expect([...own]).toEqual([...split]);
  expect([...own]).toEqual(keyPurposes.flatMap((purpose) => hostKeyFor(seed, purpose)));
});

test('the keys of all purposes differ, also from those of images, steps and epochs, and from those of the next seeds', async () => {
  const seeds = [0, 1, 2, 3];
  const keys = seeds.flatMap((seed) => [
    key(seed),
    // What a key that is folded by mistake would be.
    ...imageKeys(key(seed), 50),
    ...keyPurposes.flatMap((purpose) => [keyFor(seed, purpose), ...imageKeys(keyFor(seed, purpose), 50)]),
  ]);
  const words = await read(stack(keys, 0));
  const distinct = new Set(keys.map((_, i) => `${words[2 * i]} ${words[2 * i + 1]}`));
  expect(distinct.size).toBe(keys.length);
});

/** Who may make a key of a seed beside dpo/keys.ts, and why. */
const exceptions: Readonly<Record<string, string>> = {
  'dpo/data/draws.ts': 'defines keys on the host',
  'dpo/data/parquet/writePickAPic.node.ts': 'draws words from the key of a file of its own, and folds nothing',
};

/** Calls of `key` of tensor, or of `hostKey`, with anything but a number that stands in the code. */
function rootKeysOf(source: string): string[] {
  const file = ts.createSourceFile('file.ts', source, ts.ScriptTarget.Latest, true);
  const names = new Set<string>();
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (
      ts.isImportDeclaration(node) &&
      /\/(tensor\/index|tensor|random|draws)(\.ts)?'$/.test(node.moduleSpecifier.getText())
    ) {
      const bindings = node.importClause?.namedBindings;
      if (bindings !== undefined && ts.isNamedImports(bindings))
        for (const { propertyName, name } of bindings.elements)
          if (['key', 'hostKey'].includes((propertyName ?? name).text)) names.add(name.text);
    }
    if (ts.isCallExpression(node) && names.has(node.expression.getText()) && !node.arguments.every(ts.isNumericLiteral))
      found.push(node.getText());
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

test('no other file makes a root key of a seed', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const files = readdirSync(`${root}/dpo`, { recursive: true, encoding: 'utf8' })
    .map((name) => `dpo/${name}`)
    .filter((name) => name.endsWith('.ts') && name !== 'dpo/keys.ts' && exceptions[name] === undefined);
  expect(files.length).toBeGreaterThan(50);
  const found = files.flatMap((file) =>
    rootKeysOf(readFileSync(`${root}/${file}`, 'utf8')).map((call) => `${file}: ${call}`),
  );
  expect(found).toEqual([]);
});

test('a root key is found under any name', () => {
  const source =
    "import { key as root } from '../../tensor/index.ts';\nconst a = root(settings.seed);\nconst b = root(3);";
  expect(rootKeysOf(source)).toEqual(['root(settings.seed)']);
  expect(rootKeysOf("import { hostKey } from './draws.ts';\nhostKey(seed)")).toEqual(['hostKey(seed)']);
  expect(rootKeysOf("import { key } from './key.ts';\nkey(seed)")).toEqual([]);
});

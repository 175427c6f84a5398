import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseMerges } from 'diffusion-dpo/diffusion';
import { expect, test } from 'vitest';
import { clipVocabulary } from '../../../diffusion/text/clipVocabulary.node.ts';

const golden = (name: string) => fileURLToPath(new URL(`../../golden/tokenizer/${name}`, import.meta.url));

test("the package's table is CLIP's vocab.json and merges.txt", async () => {
  const { vocabulary, merges } = clipVocabulary();
  const published = JSON.parse(await readFile(golden('vocab.json'), 'utf8')) as Record<string, number>;
  const pairs = parseMerges(await readFile(golden('merges.txt')), 'merges.txt');
  // The first difference alone: to print all would take minutes.
  expect(Object.entries(vocabulary).find(([token, id]) => published[token] !== id)).toBeUndefined();
  expect(merges.find((pair, i) => pair !== pairs[i])).toBeUndefined();
  expect([Object.keys(vocabulary), merges].map(({ length }) => length)).toEqual([49_408, pairs.length]);
});

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { areas } from './mutations/areas.ts';
import { type Mutation, mutate } from './mutations/mutation.ts';

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

describe('the mutations that tests must notice', () => {
  test.each(Object.entries(areas))('of %s have a place in the source and tests', (_, mutations) => {
    for (const mutation of mutations) {
      const source = readFileSync(at(mutation.file), 'utf8');
      expect(mutate(source, mutation), mutation.name).not.toBe(source);
      expect(mutation.tests.length, mutation.name).toBeGreaterThan(0);
      expect(mutation.tests.filter((path) => !existsSync(at(path)))).toEqual([]);
    }
  });

  test('have a name each', () => {
    const names = Object.values(areas).flatMap((mutations) => mutations.map(({ name, file }) => `${file}: ${name}`));
    expect(names).toEqual([...new Set(names)]);
  });

  test('are refused where their text is missing or ambiguous', () => {
    const mutation: Mutation = { name: 'n', file: 'a.ts', find: 'x', replace: 'y', tests: ['b.test.ts'] };
    expect(mutate('1 x 2', mutation)).toBe('1 y 2');
    expect(() => mutate('1 2', mutation)).toThrow('occurs 0 times in a.ts');
    expect(() => mutate('x x', mutation)).toThrow('occurs 2 times in a.ts');
  });
});

import type { PairSource, PreferencePair } from 'diffusion-dpo/dpo';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { spreadRows } from '../../../dpo/data/spreadRows.ts';

/** A source of which only the places of rows are told. */
function sourceOf(sizes: readonly number[]): PairSource {
  const starts = [0];
  for (const size of sizes) starts.push((starts.at(-1) as number) + size);
  const groups = sizes.map((size, i) => ({ start: starts[i] as number, end: (starts[i] as number) + size }));
  const read = async (index: number) => ({ place: String(index) }) as PreferencePair;
  const dispose = async () => undefined;
  return {
    name: 'rows',
    count: starts.at(-1) as number,
    ties: 0,
    unlabelled: 0,
    groups,
    read,
    [Symbol.asyncDispose]: dispose,
  };
}

test('rows are as many as wanted at most, different ones, of few groups that lie over the whole source', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 200 }),
      async (sizes, most) => {
        const source = sourceOf(sizes);
        const few = spreadRows(source, most);
        const rows = await Promise.all(
          Array.from({ length: few.count }, async (_, i) => Number((await few.read(i)).place)),
        );
        expect(new Set(rows).size).toBe(rows.length);
        for (const row of rows) expect(row).toBeLessThan(source.count);
        if (source.count <= most) expect(few).toBe(source);
        else {
          expect(rows.length).toBeGreaterThan(0);
          expect(rows.length).toBeLessThanOrEqual(most);
          const used = source.groups.filter(({ start, end }) => rows.some((row) => row >= start && row < end));
          expect(used.length).toBeLessThanOrEqual(Math.ceil((most * sizes.length) / source.count));
        }
      },
    ),
  );
});

test('equal groups give what is wanted', () => {
  const few = spreadRows(sourceOf(new Array<number>(1000).fill(100)), 1000);
  expect(few.count).toBe(1000);
});

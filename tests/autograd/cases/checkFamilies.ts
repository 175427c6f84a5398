import { describe, test } from 'vitest';
import { families } from './index.ts';

const runs = 100;

/** One test for each case of some families. They are spread over test files so that these run side by side. */
export function checkFamilies(...names: readonly string[]): void {
  describe.each(names)('gradients of %s', (name) => {
    test.each((families[name] ?? []).map((entry) => [entry.name, entry] as const))('%s', async (_, { check }) => {
      await check(runs);
    });
  });
}

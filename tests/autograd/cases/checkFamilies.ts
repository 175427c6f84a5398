import { describe, test } from 'vitest';
import { families } from './index.ts';

const runs = 100;

/** One test per case of some families. Several test files share the families, so that they run in parallel. */
export function checkFamilies(...names: readonly string[]): void {
  describe.each(names)('gradients of %s', (name) => {
    test.each((families[name] ?? []).map((entry) => [entry.name, entry] as const))('%s', async (_, { check }) => {
      await check(runs);
    });
  });
}

import { describe, test } from 'vitest';
import { expectAgreement, goldenParts, goldenPaths, goldenTimeout } from './goldenRunner/expectAgreement.ts';

describe.each(['f32', 'f64'] as const)('on the device reference in %s', (dtype) => {
  test.each(goldenParts)(
    'results of %s agree with the golden data',
    (part) => expectAgreement(goldenPaths(part), 'reference', dtype),
    goldenTimeout,
  );
});

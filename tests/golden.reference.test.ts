import { test } from 'vitest';
import { expectAgreement, goldenPaths } from './goldenRunner/expectAgreement.ts';

test.each(['f32', 'f64'] as const)('results agree with the golden data on the device reference in %s', (dtype) =>
  expectAgreement(goldenPaths(), 'reference', dtype),
);

import { test } from 'vitest';
import { expectAgreement, goldenParts, goldenPaths, goldenTimeout } from './goldenRunner/expectAgreement.ts';

test.each(goldenParts)(
  'results of %s agree with the golden data on the device wasm',
  (part) => expectAgreement(goldenPaths(part), 'wasm', 'f32'),
  goldenTimeout,
);

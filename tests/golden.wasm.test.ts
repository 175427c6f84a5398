import { test } from 'vitest';
import { expectAgreement, goldenFolders, goldenPaths } from './goldenRunner/expectAgreement.ts';

test.each(goldenFolders)('results of %s agree with the golden data on the device wasm', (folder) =>
  expectAgreement(goldenPaths(folder), 'wasm', 'f32'),
);

import { describe, test } from 'vitest';
import { expectAgreement, goldenFolders, goldenPaths } from './goldenRunner/expectAgreement.ts';

describe.each(['f32', 'f64'] as const)('on the device reference in %s', (dtype) => {
  test.each(goldenFolders)('results of %s agree with the golden data', (folder) =>
    expectAgreement(goldenPaths(folder), 'reference', dtype),
  );
});

import { test } from 'vitest';
import { expectAgreement, goldenPaths } from '../../goldenRunner/expectAgreement.ts';

test('files that diffusers wrote hold the weights of their folders, and are written again', () =>
  expectAgreement(goldenPaths('single_file'), 'reference', 'f32'));

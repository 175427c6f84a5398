import { test } from 'vitest';
import { expectAgreement, goldenPaths } from './goldenRunner/expectAgreement.ts';

test('results agree with the golden data on the device wasm', () => expectAgreement(goldenPaths(), 'wasm', 'f32'));

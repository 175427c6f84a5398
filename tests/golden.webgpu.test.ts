import { test } from 'vitest';
import { expectAgreement, goldenPaths, goldenTimeout } from './goldenRunner/expectAgreement.ts';
import { adapter } from './tensor/webgpu/adapters.ts';

// UNets and whole training steps take five minutes on a graphics processor in software: `npm run golden` runs them.
const short = ['ops', 'modules', 'schedulers', 'text_encoder', 'objectives', 'preprocess', 'dpo/loss.json'];

if (adapter === null)
  console.warn('The golden data were NOT compared on WebGPU: neither a GPU nor SwiftShader was found');
test.skipIf(adapter === null).each(short)(
  'results of %s agree with the golden data on the device webgpu',
  (part) => expectAgreement(goldenPaths(part), 'webgpu', 'f32'),
  goldenTimeout,
);

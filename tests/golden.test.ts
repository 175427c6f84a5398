import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openDevice } from '../tensor/index.ts';
import { passed } from './goldenRunner/families/family.ts';
import { runGolden } from './goldenRunner/run.ts';
import { adapter } from './tensor/webgpu/adapters.ts';

const folder = fileURLToPath(new URL('./golden', import.meta.url));

async function expectAgreement(paths: readonly string[], kind: 'reference' | 'wasm' | 'webgpu', dtype: 'f32' | 'f64') {
  const report = await runGolden(paths, { device: await openDevice(kind), dtype });
  expect(report.cases.filter((one) => !passed(one))).toEqual([]);
  expect(report.passed).toBeGreaterThan(0);
  expect(report.failed).toBe(0);
  expect(report.comparedTensors).toBe(report.expectedTensors);
}

test.each([
  ['reference', 'f32'],
  ['reference', 'f64'],
  ['wasm', 'f32'],
] as const)('results agree with the golden data on the device %s in %s', (kind, dtype) =>
  expectAgreement([folder], kind, dtype),
);

// UNets and whole training steps take five minutes on a graphics processor in software: `npm run golden` runs them.
const short = ['ops', 'modules', 'schedulers', 'text_encoder', 'dpo/loss.json'].map((name) => `${folder}/${name}`);

if (adapter === null)
  console.warn('The golden data were NOT compared on WebGPU: neither a GPU nor SwiftShader was found');
test.skipIf(adapter === null)('results agree with the golden data on the device webgpu', () =>
  expectAgreement(short, 'webgpu', 'f32'),
);

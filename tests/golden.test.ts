import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openDevice } from '../tensor/index.ts';
import { passed } from './goldenRunner/families/family.ts';
import { runGolden } from './goldenRunner/run.ts';

const folder = fileURLToPath(new URL('./golden', import.meta.url));

test.each([
  ['reference', 'f32'],
  ['reference', 'f64'],
  ['wasm', 'f32'],
] as const)('results agree with the golden data on the device %s in %s', async (kind, dtype) => {
  const report = await runGolden([folder], { device: await openDevice(kind), dtype });
  expect(report.cases.filter((one) => !passed(one))).toEqual([]);
  expect(report.passed).toBeGreaterThan(0);
  expect(report.failed).toBe(0);
  expect(report.comparedTensors).toBe(report.expectedTensors);
});

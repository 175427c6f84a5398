import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { openDevice } from '../../tensor/index.ts';
import { passed } from './families/family.ts';
import { runGolden } from './run.ts';

/** Paths of parts of this repository's golden data, such as `ops`. */
export const goldenPaths = (...parts: string[]): readonly string[] =>
  parts.map((part) => fileURLToPath(new URL(`../golden/${part}`, import.meta.url)));

const childrenOf = (folder: string) =>
  readdirSync(new URL(`../golden/${folder}`, import.meta.url), { withFileTypes: true }).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );

/** Folders whose models take so long that each is a part of its own. */
const divided = ['dpo', 'unet'];

/** Milliseconds that a part may take: plain JavaScript on one busy core needs minutes for a training trajectory. */
export const goldenTimeout = 600_000;

/** The golden data of this repository in parts that take minutes at most: folders and files. */
export const goldenParts: readonly string[] = childrenOf('').flatMap(({ name }) =>
  divided.includes(name)
    ? childrenOf(name)
        .filter((child) => child.isDirectory() || child.name.endsWith('.json'))
        .map((child) => `${name}/${child.name}`)
    : [name],
);

/** Expects every result on a device to agree with the golden data, and every expected tensor to be compared. */
export async function expectAgreement(
  paths: readonly string[],
  kind: 'reference' | 'wasm' | 'webgpu',
  dtype: 'f32' | 'f64',
): Promise<void> {
  const report = await runGolden(paths, { device: await openDevice(kind), dtype });
  expect(report.cases.filter((one) => !passed(one))).toEqual([]);
  expect(report.passed).toBeGreaterThan(0);
  expect(report.failed).toBe(0);
  expect(report.comparedTensors).toBe(report.expectedTensors);
}

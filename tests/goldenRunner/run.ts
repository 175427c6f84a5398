import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type CaseReport,
  type GoldenFile,
  type LeftOut,
  messageOf,
  passed,
  type Settings,
  type UnitReport,
} from './families/family.ts';
import { families } from './families/index.ts';

/** What came of everything that was checked. */
export interface Report {
  /** In the files that some family picked; a file that none picks is a failure of its own. */
  readonly expectedTensors: number;
  readonly comparedTensors: number;
  readonly passed: number;
  readonly failed: number;
  readonly cases: readonly CaseReport[];
  /** What is not compared, with the reasons; its tensors are not among the expected ones. */
  readonly leftOut: readonly LeftOut[];
}

/** Whether every case passed and no expected tensor was left out. */
export const succeeded = (report: Report): boolean =>
  report.failed === 0 && report.expectedTensors === report.comparedTensors;

/**
 * Checks the golden data below folders, or of single JSON files. Whatever is not understood counts as failed; only
 * Markdown files are passed over. Rejects when a path does not exist.
 */
export async function runGolden(paths: readonly string[], settings: Settings): Promise<Report> {
  const listed = (await Promise.all(paths.map(list))).flat();
  const cases: CaseReport[] = [];
  const leftOut: LeftOut[] = [];
  const files: GoldenFile[] = [];
  const fail = (file: string, problem: string) =>
    cases.push({ file, name: '(file)', problems: [problem], comparisons: [] });
  for (const path of new Set(listed)) {
    try {
      files.push(path.endsWith('.json') ? { path, json: parseJson(await readFile(path, 'utf8')) } : { path });
    } catch (error) {
      fail(path, `not a JSON file: ${messageOf(error)}`);
    }
  }

  let expectedTensors = 0;
  let rest: readonly GoldenFile[] = files;
  for (const family of families) {
    for (const unit of family.claim(rest)) {
      rest = rest.filter(({ path }) => !unit.files.includes(path));
      const report = await unit.check(settings).catch((error: unknown): UnitReport => {
        const [file = ''] = unit.files;
        return { expectedTensors: 0, cases: [{ file, name: '(file)', problems: [messageOf(error)], comparisons: [] }] };
      });
      expectedTensors += report.expectedTensors;
      cases.push(...report.cases);
      leftOut.push(...(report.leftOut ?? []));
    }
  }
  for (const { path } of rest) fail(path, whyUnclaimed(path));
  if (cases.length + leftOut.length === 0) fail(paths.join(', '), 'there is no golden data here');

  return {
    expectedTensors,
    comparedTensors: cases.reduce((total, { comparisons }) => total + comparisons.length, 0),
    passed: cases.filter(passed).length,
    failed: cases.filter((one) => !passed(one)).length,
    cases,
    leftOut,
  };
}

/** All files below a folder except documentation, sorted; for a JSON or safetensors file, it and its other half. */
async function list(path: string): Promise<string[]> {
  const absolute = resolve(path);
  if ((await stat(absolute)).isDirectory()) return walk(absolute);
  const stem = absolute.replace(/\.(json|safetensors)$/, '');
  const halves = stem === absolute ? [absolute] : [`${stem}.json`, `${stem}.safetensors`];
  const exist = await Promise.all(
    halves.map((half) =>
      stat(half).then(
        () => true,
        () => false,
      ),
    ),
  );
  return halves.filter((_, i) => exist[i]);
}

async function walk(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    if ((await stat(path)).isDirectory()) found.push(...(await walk(path)));
    else if (!path.endsWith('.md')) found.push(path);
  }
  return found;
}

/** JSON as Python writes it, where an undefined relative error is a bare `NaN`. */
const parseJson = (text: string): unknown => JSON.parse(text.replace(/(:\s*)(?:NaN|-?Infinity)(?=\s*[,}])/g, '$1null'));

function whyUnclaimed(path: string): string {
  if (path.endsWith('.json')) return 'no kind of golden data that is known looks like this';
  if (path.endsWith('.safetensors')) return 'no file of a known kind describes these tensors';
  return 'a file of an unknown kind';
}

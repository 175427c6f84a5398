import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { type Mutation, mutate } from './mutation.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * What became of a mutation: a test failed; none did; the tests ran into the time limit, as when the change loops for ever; or
 * no test could run, so that nothing is known.
 */
export type Outcome = 'killed' | 'SURVIVED' | 'time out' | 'BROKEN';

/** After how many seconds a run of tests is given up. */
const limit = 300;

/** A copy of the project in which one source file at a time is changed. Tests that start the command line see the change too. */
export class Workspace {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mutate-'));

  constructor() {
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
    for (const file of listed.toString().split('\0').filter(Boolean)) {
      mkdirSync(dirname(join(this.#folder, file)), { recursive: true });
      copyFileSync(join(root, file), join(this.#folder, file));
    }
    symlinkSync(join(root, 'node_modules'), join(this.#folder, 'node_modules'));
  }

  /** Runs the tests that must notice a mutation, with it in place. */
  async try(mutation: Mutation, signal: AbortSignal): Promise<{ readonly outcome: Outcome; readonly seconds: number }> {
    const path = join(this.#folder, mutation.file);
    const source = readFileSync(path, 'utf8');
    const changed = mutate(source, mutation);
    const { diagnostics = [] } = ts.transpileModule(changed, { reportDiagnostics: true, fileName: mutation.file });
    if (diagnostics.length > 0)
      throw new Error(`mutation "${mutation.name}" leaves ${mutation.file} without its syntax`);
    const began = performance.now();
    writeFileSync(path, changed);
    try {
      const { outcome } = await this.run(mutation.tests, mutation.only, signal);
      return { outcome, seconds: (performance.now() - began) / 1000 };
    } finally {
      writeFileSync(path, source);
    }
  }

  /** Runs test files until one test fails. */
  async run(
    tests: readonly string[],
    only: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly outcome: Outcome; readonly output: string }> {
    const report = join(this.#folder, 'report.json');
    rmSync(report, { force: true });
    const pattern = only === undefined ? [] : ['-t', only];
    const reporters = ['--reporter=dot', '--reporter=json', `--outputFile.json=${report}`];
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const { code, output, late } = await finished(
      [vitest, 'run', '--bail=1', ...reporters, ...pattern, ...tests],
      this.#folder,
      signal,
    );
    if (late) return { outcome: 'time out', output };
    if (code === 0) return { outcome: 'SURVIVED', output };
    return { outcome: failedTests(report) > 0 ? 'killed' : 'BROKEN', output };
  }

  remove(): void {
    // A child that was killed may still write while its folder is removed.
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** How many tests failed in vitest's report; none where there is no report. */
function failedTests(report: string): number {
  try {
    return (JSON.parse(readFileSync(report, 'utf8')) as { readonly numFailedTests: number }).numFailedTests;
  } catch {
    return 0;
  }
}

/** Runs Node with its children in a process group of its own, which ends as a whole at the time limit or at the signal. */
function finished(
  args: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<{ readonly code: number | null; readonly output: string; readonly late: boolean }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let late = false;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
    const end = () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(() => {
      late = true;
      end();
    }, limit * 1000);
    signal.addEventListener('abort', end, { once: true });
    child.on('close', (code) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve({ code, output, late });
    });
  });
}

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { archive, decompress, filesIn, unpackOnce } from '../webgpu/archives.ts';

export interface Chromium {
  readonly path: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Chromium, or why it cannot run here. */
export function findChromium(): Chromium | string {
  const [browser, drivers, libraries] = ['chromium.br', 'swiftshader.tar.br', 'al2023.tar.br'].map(archive) as [
    string,
    string,
    string,
  ];
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'it is there for Linux on x64 only';
  if (!existsSync(browser)) return '@sparticuz/chromium is not installed';
  const folder = unpackOnce('chromium', function* () {
    yield { name: 'chromium', content: decompress(browser) };
    // It looks for its graphics drivers beside itself.
    yield* filesIn(decompress(drivers));
  });
  const path = join(folder, 'chromium');
  // Drivers that Node is to find are none of a browser's business.
  const { LD_LIBRARY_PATH: _, ...environment } = process.env;
  const withLibraries = () => ({
    ...environment,
    LD_LIBRARY_PATH: join(
      unpackOnce('chromium-libraries', () => filesIn(decompress(libraries))),
      'lib',
    ),
  });
  let message = '';
  for (const env of [environment, withLibraries()]) {
    const { status, stderr } = spawnSync(path, ['--version'], { env, encoding: 'utf8' });
    if (status === 0) return { path, environment: env };
    message = stderr;
  }
  return `it does not start: ${message}`;
}

/** Opens a page in a browser of its own; the browser is closed by what it gives. */
export async function openPage({ path, environment }: Chromium, address: string): Promise<() => Promise<void>> {
  const profile = await mkdtemp(join(tmpdir(), 'diffusion-dpo-browser-'));
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu-sandbox',
    '--no-first-run',
    '--enable-unsafe-webgpu',
    '--use-webgpu-adapter=swiftshader',
    `--user-data-dir=${profile}`,
  ];
  const child: ChildProcess = spawn(path, [...flags, address], { env: environment, stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  return async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
}

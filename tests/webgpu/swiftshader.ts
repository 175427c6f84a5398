import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';

/**
 * SwiftShader, a Vulkan driver that computes on the CPU, lets WebGPU be tested where there is no GPU. It comes with the
 * development dependency @sparticuz/chromium, for Linux on x64.
 */
const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const archive = join(modules, '@sparticuz/chromium/bin/swiftshader.tar.br');
const folder = join(modules, '.cache/swiftshader');

/** The files in a tar archive. */
function* filesIn(tar: Buffer): Generator<{ readonly name: string; readonly content: Buffer }> {
  for (let at = 0; at + 512 <= tar.length; ) {
    const text = (from: number, length: number) =>
      tar.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    const [name, size, kind] = [text(0, 100), Number.parseInt(text(124, 12), 8) || 0, text(156, 1)];
    at += 512;
    if (name !== '' && (kind === '' || kind === '0')) yield { name, content: tar.subarray(at, at + size) };
    at += Math.ceil(size / 512) * 512;
  }
}

/** Unpacks the driver once. Several processes may do so at the same time: the first one's folder stays. */
function unpack(): void {
  if (existsSync(folder)) return;
  mkdirSync(dirname(folder), { recursive: true });
  const fresh = mkdtempSync(`${folder}-`);
  for (const { name, content } of filesIn(brotliDecompressSync(readFileSync(archive)))) {
    writeFileSync(join(fresh, basename(name)), content, { mode: 0o755 });
  }
  try {
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
}

const hasGpu = (): boolean =>
  ['/dev/dri', '/dev/nvidia0', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path));

/**
 * What a process needs in its environment, from its start, to compute on SwiftShader; nothing where a GPU is there, a
 * driver was chosen already, or SwiftShader is not to be had.
 */
export function swiftShaderEnvironment(): Readonly<Record<string, string>> {
  const { VK_ICD_FILENAMES, VK_DRIVER_FILES, LD_LIBRARY_PATH } = process.env;
  if (VK_ICD_FILENAMES !== undefined || VK_DRIVER_FILES !== undefined || hasGpu() || !existsSync(archive)) return {};
  unpack();
  return {
    VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: LD_LIBRARY_PATH === undefined ? folder : `${folder}:${LD_LIBRARY_PATH}`,
  };
}

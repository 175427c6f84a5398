import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';

/**
 * The development dependency @sparticuz/chromium brings Chromium, the libraries that a bare machine lacks, and
 * SwiftShader, a Vulkan driver that computes on the CPU; all for Linux on x64, and compressed.
 */
const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));

export const archive = (name: string): string => join(modules, '@sparticuz/chromium/bin', name);

export interface File {
  readonly name: string;
  readonly content: Buffer;
}

export const decompress = (path: string): Buffer => brotliDecompressSync(readFileSync(path));

/** The files in a tar archive. */
export function* filesIn(tar: Buffer): Generator<File> {
  for (let at = 0; at + 512 <= tar.length; ) {
    const text = (from: number, length: number) =>
      tar.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    const [name, size, kind] = [text(0, 100), Number.parseInt(text(124, 12), 8) || 0, text(156, 1)];
    at += 512;
    if (name !== '' && (kind === '' || kind === '0')) yield { name, content: tar.subarray(at, at + size) };
    at += Math.ceil(size / 512) * 512;
  }
}

/**
 * Writes files to a folder of the cache, once, and gives its path. Several processes may do so at the same time: the
 * first one's folder stays.
 */
export function unpackOnce(name: string, files: () => Iterable<File>): string {
  const folder = join(modules, '.cache', name);
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const fresh = mkdtempSync(`${folder}-`);
  for (const file of files()) {
    const path = join(fresh, file.name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, file.content, { mode: 0o755 });
  }
  try {
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

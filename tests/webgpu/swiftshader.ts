import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { archive, decompress, filesIn, unpackOnce } from './archives.ts';

const drivers = archive('swiftshader.tar.br');

const hasGpu = (): boolean =>
  ['/dev/dri', '/dev/nvidia0', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path));

/**
 * What a process needs in its environment, from its start, to compute on SwiftShader, which lets WebGPU be tested where
 * there is no GPU; nothing where a GPU is there, a driver was chosen already, or SwiftShader is not to be had.
 */
export function swiftShaderEnvironment(): Readonly<Record<string, string>> {
  const { VK_ICD_FILENAMES, VK_DRIVER_FILES, LD_LIBRARY_PATH } = process.env;
  if (VK_ICD_FILENAMES !== undefined || VK_DRIVER_FILES !== undefined || hasGpu() || !existsSync(drivers)) return {};
  const folder = unpackOnce('swiftshader', () => filesIn(decompress(drivers)));
  return {
    VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: LD_LIBRARY_PATH === undefined ? folder : `${folder}:${LD_LIBRARY_PATH}`,
  };
}

import { printable } from '../printable.ts';
import { WebGpuDevice, type WebGpuOptions } from './device.ts';
import { findGpu, isSoftware } from './runtime/gpu.ts';
import { selfTest } from './selfTest.ts';

/** What drivers of GPUs show on Linux, NVIDIA's without and with a display, and Windows' within it. */
const deviceFiles = ['/dev/dri', '/dev/nvidia0', '/dev/nvidiactl', '/dev/dxg'];

/** Whether there can be a GPU. Where Linux has none, nothing is loaded: Dawn would complain of a missing driver. */
function mayHaveGpu(): boolean {
  const { process } = globalThis as { process?: Partial<typeof globalThis.process> };
  const files = process?.platform === 'linux' ? process.getBuiltinModule?.('fs') : undefined;
  return files === undefined || deviceFiles.some((path) => files.existsSync(path));
}

/**
 * Opens a GPU that computes rightly: `undefined` where there is none, or only a CPU that stands in for one. One that
 * fails a small test is passed over with a warning.
 */
export async function openTestedGpu({ gpu, ...options }: WebGpuOptions = {}): Promise<WebGpuDevice | undefined> {
  if (gpu === undefined && !mayHaveGpu()) return undefined;
  const adapter = await (gpu ?? (await findGpu()))?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter || isSoftware(adapter)) return undefined;
  let device: WebGpuDevice | undefined;
  let wrong: string | undefined;
  try {
    device = await WebGpuDevice.open({ ...options, adapter });
    wrong = await selfTest(device);
  } catch (error) {
    wrong = error instanceof Error ? error.message : String(error);
  }
  if (wrong === undefined) return device;
  device?.close();
  const { vendor, description } = adapter.info;
  const name = description || vendor;
  console.warn(printable(`webgpu: ${name} is not used, because it failed a test: ${wrong.split('\n')[0]}`));
  return undefined;
}

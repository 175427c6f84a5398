import { TensorError } from '../../errors.ts';

/** The flags of WebGPU, which Node has no names for. */
export const usage = {
  mapRead: 1,
  copySource: 4,
  copyTarget: 8,
  uniform: 64,
  storage: 128,
  queryResolve: 512,
} as const;
/** The mode in which a buffer is mapped that the host reads. */
export const mapForRead = 1;
export const computeStage = 4;

let found: Promise<GPU | undefined> | undefined;

/** WebGPU as the browser has it, or in Node as the package `webgpu` brings it; `undefined` where there is neither. */
export function findGpu(): Promise<GPU | undefined> {
  found ??= find();
  return found;
}

async function find(): Promise<GPU | undefined> {
  const { navigator, process } = globalThis as { navigator?: Navigator; process?: { versions?: { node?: string } } };
  if (navigator?.gpu !== undefined) return navigator.gpu;
  if (process?.versions?.node === undefined) return undefined;
  // Not written as a constant, so that what bundles this for browsers does not look for the package.
  const name = ['web', 'gpu'].join('');
  try {
    const { create } = (await import(/* @vite-ignore */ name)) as { create(options: readonly string[]): GPU };
    return create([]);
  } catch {
    return undefined;
  }
}

/** The fastest adapter; throws, saying what to do, where there is none. */
export async function findAdapter(given?: GPU): Promise<GPUAdapter> {
  const gpu = given ?? (await findGpu());
  if (gpu === undefined) {
    throw new TensorError(
      "webgpu: there is no WebGPU here: browsers need to be recent and the page served over https, Node needs the package 'webgpu' (npm install webgpu)",
    );
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) throw new TensorError('webgpu: no GPU was found; its driver may be missing');
  return adapter;
}

/** Whether an adapter computes on the CPU. */
export const isSoftware = ({ info }: GPUAdapter): boolean =>
  info.isFallbackAdapter ||
  /swiftshader|llvmpipe|lavapipe/i.test(`${info.architecture} ${info.description} ${info.device}`);

/** Limits that are asked for in full; what is not asked for stays at WebGPU's cautious defaults, which suffice. */
const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

/** What is used where it is offered. */
const wantedFeatures = ['timestamp-query', 'shader-f16', 'subgroups'] as const;

/** Limits of a device: as far as the adapter goes, or WebGPU's defaults, which every adapter has. */
export type WebGpuLimits = 'adapter' | 'default';

export async function openAdapter(adapter: GPUAdapter, limits: WebGpuLimits = 'adapter'): Promise<GPUDevice> {
  const requiredFeatures = wantedFeatures.filter((name) => adapter.features.has(name));
  if (limits === 'default') return adapter.requestDevice({ requiredFeatures });
  const requiredLimits = Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]]));
  return adapter.requestDevice({ requiredFeatures, requiredLimits });
}

/** Which of these a device has, and how far they go. */
export const abilitiesOf = (device: GPUDevice): { features: string[]; limits: Record<string, number> } => ({
  features: wantedFeatures.filter((name) => device.features.has(name)),
  limits: Object.fromEntries(wantedLimits.map((name) => [name, device.limits[name]])),
});

import { float16ToNumber } from '../../half.ts';
import { plainTraits, type ShaderTraits } from '../wgsl/shader.ts';
import { mapForRead, usage } from './gpu.ts';

/** All numbers of 16 bits, two in a word. */
const allHalves = Uint32Array.from({ length: 2 ** 15 }, (_, i) => (2 * i) | ((2 * i + 1) << 16));

/** What a shader writes to its second buffer when its first holds these words; `undefined` where it cannot run. */
async function outcomeOf(
  device: GPUDevice,
  code: string,
  input: Uint32Array<ArrayBuffer>,
  words: number,
  groups: number,
): Promise<ArrayBuffer | undefined> {
  const buffers: GPUBuffer[] = [];
  const make = (size: number, use: number): GPUBuffer => {
    const buffer = device.createBuffer({ size, usage: use, label: 'a probe' });
    buffers.push(buffer);
    return buffer;
  };
  device.pushErrorScope('validation');
  try {
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code, label: 'a probe' }), entryPoint: 'main' },
    });
    const from = make(input.byteLength, usage.storage | usage.copyTarget);
    const to = make(4 * words, usage.storage | usage.copySource);
    const copy = make(4 * words, usage.mapRead | usage.copyTarget);
    device.queue.writeBuffer(from, 0, input);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [from, to].map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(groups);
    pass.end();
    encoder.copyBufferToBuffer(to, 0, copy, 0, 4 * words);
    device.queue.submit([encoder.finish()]);
    await copy.mapAsync(mapForRead);
    return copy.getMappedRange().slice(0);
  } catch {
    return undefined;
  } finally {
    for (const buffer of buffers) buffer.destroy();
    await device.popErrorScope();
  }
}

const header = (from: string, to: string): string =>
  `@group(0) @binding(0) var<storage, read> from_: array<${from}>;
@group(0) @binding(1) var<storage, read_write> to_: array<${to}>;`;

/** Whether f16 goes through shaders unharmed: every number, subnormal or infinite, as it is read and as it is stored. */
async function halvesSurvive(device: GPUDevice): Promise<boolean> {
  const run = (from: string, to: string, value: string) => {
    const code = `enable f16;
${header(from, to)}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { let i = id.x; to_[i] = ${value}; }`;
    return outcomeOf(device, code, allHalves, to === 'f16' ? 2 ** 15 : 2 ** 16, 2 ** 10);
  };
  const read = await run('f16', 'f32', 'f32(from_[i])');
  const stored = await run('u32', 'f16', 'bitcast<vec2<f16>>((from_[i >> 1u] >> ((i & 1u) << 4u)) & 0xffffu).x');
  if (read === undefined || stored === undefined) return false;
  const halves = new Uint16Array(allHalves.buffer);
  const [numbers, bits] = [new Float32Array(read), new Uint16Array(stored)];
  return halves.every((half, i) => {
    const expected = float16ToNumber(half);
    return Number.isNaN(expected) || (Object.is(numbers[i], expected) && bits[i] === half);
  });
}

/** Whether invocations form subgroups of `size` in the order of their numbers, and can look at each other's values. */
async function subgroupsFollow(device: GPUDevice, size: number): Promise<boolean> {
  const groups = 2;
  for (const groupSize of [64, 256]) {
    const code = `enable subgroups;
${header('u32', 'u32')}
@compute @workgroup_size(${groupSize})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) size: u32) {
  let other = subgroupShuffleXor(from_[local], 1u);
  to_[group.x * ${groupSize}u + local] = select(0u, other, lane == local % ${size}u && size == ${size}u);
}`;
    const input = Uint32Array.from({ length: groupSize }, (_, i) => i + 1);
    const result = await outcomeOf(device, code, input, groupSize * groups, groups);
    if (result === undefined) return false;
    if (!new Uint32Array(result).every((other, i) => other === ((i % groupSize) ^ 1) + 1)) return false;
  }
  return true;
}

/** What an adapter's device offers that shaders can rely on: drivers differ, so what is offered is tried first. */
export async function findTraits(device: GPUDevice, { info }: GPUAdapter): Promise<ShaderTraits> {
  const { subgroupMinSize: size, subgroupMaxSize } = info;
  const isSteady = size === subgroupMaxSize && size >= 4 && size <= 64;
  const useSubgroups = isSteady && device.features.has('subgroups') && (await subgroupsFollow(device, size));
  const halves = device.features.has('shader-f16') && (await halvesSurvive(device));
  return {
    ...plainTraits,
    bindingBytes: device.limits.maxStorageBufferBindingSize,
    halves,
    subgroupSize: useSubgroups ? size : undefined,
  };
}

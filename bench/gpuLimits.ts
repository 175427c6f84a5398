import { findAdapter, isSoftware, openAdapter, usage } from '../tensor/webgpu/runtime/gpu.ts';
import type { Limits } from './limit.ts';

/**
 * The rates of plain WGSL on a GPU, without a framework: a matrix product by 4 × 4 register blocks (the faster of one that
 * reads through the cache and one that shares tiles in workgroup memory), a copy, and a sum.
 */

/** A workgroup is a square of this many invocations per side. */
const side = 16;
const group = side * side;
/** The side of a workgroup's tile of the product in elements, and the depth of the tiles in workgroup memory. */
const [tile, depth] = [4 * side, 16];

const matrices = `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
`;

/** C = AᵀB with A [n, n] and B [n, n]: each step reads four elements of A and four of B for sixteen products. */
const plainProduct = (n: number): string => `${matrices}
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(global_invocation_id) id: vec3u) {
  var c0 = vec4f(); var c1 = vec4f(); var c2 = vec4f(); var c3 = vec4f();
  for (var k = 0u; k < ${n}u; k++) {
    let x = a[k * ${n / 4}u + id.y];
    let y = b[k * ${n / 4}u + id.x];
    c0 = fma(vec4f(x.x), y, c0); c1 = fma(vec4f(x.y), y, c1); c2 = fma(vec4f(x.z), y, c2); c3 = fma(vec4f(x.w), y, c3);
  }
  let at = 4u * id.y * ${n / 4}u + id.x;
  c[at] = c0; c[at + ${n / 4}u] = c1; c[at + ${(2 * n) / 4}u] = c2; c[at + ${(3 * n) / 4}u] = c3;
}`;

/** The same product by tiles in workgroup memory. */
const tiledProduct = (n: number): string => `${matrices}
var<workgroup> ta: array<vec4f, ${(depth * tile) / 4}>;
var<workgroup> tb: array<vec4f, ${(depth * tile) / 4}>;
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) own: vec3u, @builtin(workgroup_id) place: vec3u) {
  var c0 = vec4f(); var c1 = vec4f(); var c2 = vec4f(); var c3 = vec4f();
  let line = own.y * ${side}u + own.x;
  for (var k = 0u; k < ${n}u; k += ${depth}u) {
    let row = (k + own.y) * ${n / 4}u;
    ta[line] = a[row + place.y * ${side}u + own.x];
    tb[line] = b[row + place.x * ${side}u + own.x];
    workgroupBarrier();
    for (var j = 0u; j < ${depth}u; j++) {
      let x = ta[j * ${side}u + own.y];
      let y = tb[j * ${side}u + own.x];
      c0 = fma(vec4f(x.x), y, c0); c1 = fma(vec4f(x.y), y, c1); c2 = fma(vec4f(x.z), y, c2); c3 = fma(vec4f(x.w), y, c3);
    }
    workgroupBarrier();
  }
  let at = 4u * id.y * ${n / 4}u + id.x;
  c[at] = c0; c[at + ${n / 4}u] = c1; c[at + ${(2 * n) / 4}u] = c2; c[at + ${(3 * n) / 4}u] = c3;
}`;

/** The vectors that one invocation of a copy or a sum reads. */
const each = 16;

const pass = (body: string): string => `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> c: array<vec4f>;
@compute @workgroup_size(${group})
fn main(@builtin(workgroup_id) place: vec3u, @builtin(local_invocation_index) own: u32) {
  let first = place.x * ${group * each}u + own;
  ${body}
}`;
const copy = pass(`for (var i = 0u; i < ${each}u; i++) { c[first + i * ${group}u] = a[first + i * ${group}u]; }`);
const sum = pass(
  `var s = vec4f(); for (var i = 0u; i < ${each}u; i++) { s += a[first + i * ${group}u]; } c[place.x * ${group}u + own] = s;`,
);

/** Opens a second device on the fastest adapter and prepares the kernels. */
export async function gpuLimits(): Promise<Limits> {
  const adapter = await findAdapter();
  const device = await openAdapter(adapter);
  const slow = isSoftware(adapter);
  const n = slow ? 512 : 4096;
  const bytes = slow ? 32 << 20 : 256 << 20;

  /** Runs a kernel `times` times in one submission, on buffers of the given bytes, the last of which it writes. */
  function running(code: string, sizes: readonly number[], workgroups: readonly [number, number], times: number) {
    const pipeline = device.createComputePipeline({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
    });
    const buffers = sizes.map((size) => device.createBuffer({ size, usage: usage.storage | usage.copyTarget }));
    buffers.forEach((buffer, i) => {
      device.queue.writeBuffer(buffer, 0, new Float32Array((sizes[i] as number) / 4).fill(0.5));
    });
    const bindGroup = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    return async (): Promise<void> => {
      const encoder = device.createCommandEncoder();
      const recorder = encoder.beginComputePass();
      recorder.setPipeline(pipeline);
      recorder.setBindGroup(0, bindGroup);
      for (let i = 0; i < times; i++) recorder.dispatchWorkgroups(...workgroups);
      recorder.end();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
    };
  }
  const times = slow ? 1 : 10;
  const product = (code: string) => running(code, [4 * n * n, 4 * n * n, 4 * n * n], [n / tile, n / tile], times);
  const [plain, tiled] = [product(plainProduct(n)), product(tiledProduct(n))];
  const workgroups = bytes / 16 / (group * each);
  const spent = async (run: () => Promise<void>): Promise<number> => {
    await run();
    const start = performance.now();
    await run();
    return performance.now() - start;
  };
  const best = (await spent(plain)) <= (await spent(tiled)) ? plain : tiled;
  return {
    block: { name: `plain WGSL, ${n}³`, work: times * 2 * n ** 3, run: best },
    copy: { name: 'copy', work: times * 2 * bytes, run: running(copy, [bytes, bytes], [workgroups, 1], times) },
    sum: {
      name: 'sum',
      work: times * bytes,
      run: running(sum, [bytes, workgroups * group * 16], [workgroups, 1], times),
    },
  };
}

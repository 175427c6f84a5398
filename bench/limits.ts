/**
 * The limits of items: the rates of bare code on one thread of WebAssembly, the register block of matrix products over
 * packed panels in the cache and plain passes over memory. They are measured beside every item, because a shared machine
 * varies in speed.
 */
import type { Device } from 'diffusion-dpo/tensor';
import { countUp } from '../tensor/wasm/assembler/control.ts';
import { f32, f32x4, type Local, local, memoryCopy, returnValue, v128 } from '../tensor/wasm/assembler/instructions.ts';
import { ModuleBuilder } from '../tensor/wasm/assembler/module.ts';
import { hasRelaxedSimd } from '../tensor/wasm/assembler/relaxed.ts';
import { contractionModule } from '../tensor/wasm/contractions/module.ts';
import { gpuLimits } from './gpuLimits.ts';
import type { Limit, Limits } from './limit.ts';

const pages = 1200;
const memory = new WebAssembly.Memory({ initial: pages });
type Calls = Readonly<Record<string, (...values: readonly number[]) => number | undefined>>;
const start = (bytes: Uint8Array<ArrayBuffer>): Calls =>
  new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports as unknown as Calls;

/** The register block alone: 128 rows, 64 columns and 256 steps. */
function registerBlock(): Limit {
  const calls = start(contractionModule({ relaxed: hasRelaxedSimd(), memory: { initial: pages } }));
  const [rows, columns, depth, panel] = [128, 64, 256, 8];
  const a = 65536;
  const b = a + 4 * rows * depth;
  const c = b + 4 * columns * depth;
  return {
    name: 'register block',
    work: 2 * rows * columns * depth,
    run: () => {
      for (let j = 0; j < columns; j += panel) {
        calls.rows_f32?.(a, b + 4 * j * depth, c + 4 * j, 4 * columns, depth, rows, 1);
      }
    },
  };
}

/** The bytes of each array: more than caches hold. */
const arrayBytes = 32 << 20;

function passes(): { readonly copy: Limit; readonly sum: Limit } {
  const builder = new ModuleBuilder({ initial: pages });
  builder.function({ parameters: ['i32', 'i32', 'i32'], name: 'copy' }, ([to, from, bytes]) =>
    memoryCopy(local.get(to), local.get(from), local.get(bytes)),
  );
  builder.function({ parameters: ['i32', 'i32'], result: 'f32', name: 'sum' }, ([from, end], scope) => {
    const sums: Local<'v128'>[] = Array.from({ length: 8 }, () => scope.local('v128'));
    const [first, ...others] = sums as [Local<'v128'>, ...Local<'v128'>[]];
    const total = others.reduce((sum, next) => f32x4.add(sum, local.get(next)), local.get(first));
    const all = scope.local('v128');
    const lanes = [0, 1, 2, 3].map((i) => f32x4.extractLane(local.get(all), i));
    return [
      countUp(
        from,
        local.get(end),
        128,
        ...sums.map((sum, i) => local.set(sum, f32x4.add(local.get(sum), v128.load(local.get(from), 16 * i)))),
      ),
      local.set(all, total),
      returnValue(lanes.reduce((a, b) => f32.add(a, b))),
    ];
  });
  const calls = start(builder.toBytes());
  const [from, to] = [1 << 20, (1 << 20) + arrayBytes];
  // The system may map all unwritten pages to one page of zeros, which stays in the cache.
  new Float32Array(memory.buffer, from).fill(1);
  return {
    copy: { name: 'copy', work: 2 * arrayBytes, run: () => void calls.copy?.(to, from, arrayBytes) },
    sum: { name: 'sum', work: arrayBytes, run: () => void calls.sum?.(from, from + arrayBytes) },
  };
}

let ofWasm: Limits | undefined;

/** The limits for a device: on the GPU for WebGPU, on one thread of WebAssembly for all others. */
export async function limitsFor(device: Device): Promise<Limits> {
  if (device.name === 'webgpu') return gpuLimits();
  if (ofWasm !== undefined) return ofWasm;
  ofWasm = { block: registerBlock(), ...passes() };
  // Runs them once, so that the engine has optimised them before the first measurement.
  for (const limit of Object.values(ofWasm)) await rateOf(limit, 150);
  return ofWasm;
}

/** The best rate (work per second) of the calls that start within `milliseconds`, at least one. */
export async function rateOf({ work, run }: Limit, milliseconds = 30): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  const start = performance.now();
  do {
    const from = performance.now();
    await run();
    best = Math.min(best, performance.now() - from);
  } while (performance.now() - start < milliseconds);
  return (1000 * work) / best;
}

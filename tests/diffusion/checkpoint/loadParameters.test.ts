import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadParameters, manifestOf, unet2dConditionModel } from 'diffusion-dpo/diffusion';
import { linear, module } from 'diffusion-dpo/nn';
import {
  type Device,
  deviceOf,
  flattenTree,
  fromBytes,
  key,
  type MemoryUse,
  openDevice,
  openSafetensors,
  read,
  type Tensor,
  tensor,
  toSafetensorsBytes,
} from 'diffusion-dpo/tensor';
import { openSafetensorsPath } from 'diffusion-dpo/tensor/node';
import { describe, expect, test } from 'vitest';

const model = () =>
  module({ first: linear(2, 3), second: linear(3, 1) }, ({ first, second }, x: Tensor) => second(first(x)));

const reader = async (tensors: Record<string, Tensor>) =>
  openSafetensors(fromBytes(await toSafetensorsBytes(tensors), 'memory'));

const stored = (): Record<string, Tensor> => ({
  'first.weight': tensor([
    [1, 2],
    [3, 4],
    [5, 6],
  ]).cast('f16'),
  'first.bias': tensor([1, 2, 3]),
  'second.weight': tensor([[1 / 3, 1e-9, 70000]]).cast('bf16'),
  'second.bias': tensor([0.5]),
});

describe('parameters from a file', () => {
  test.each(['reference', 'wasm'] as const)('come to the device %s with the dtypes that they had', async (kind) => {
    const device = await openDevice(kind);
    const params = await loadParameters(model().init(key(0)), await reader(stored()), { device });
    expect(flattenTree(params).map(({ path, tensor }) => `${path} ${tensor.dtype}`)).toEqual([
      'first.weight f16',
      'first.bias f32',
      'second.weight bf16',
      'second.bias f32',
    ]);
    expect(deviceOf(params)).toBe(device);
    expect(Array.from(await read(params.first.weight))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('are converted on the way, and nothing else is left on the device', async () => {
    const device = await openDevice('wasm');
    const before = device.memory().bytes;
    const params = await loadParameters(model().init(key(0)), await reader(stored()), { device, dtype: 'f16' });
    expect(new Set(flattenTree(params).map(({ tensor }) => tensor.dtype))).toEqual(new Set(['f16']));
    expect(device.memory().buffers).toBe(4);
    expect(device.memory().bytes - before).toBeLessThan(4 * 64);
    expect(Array.from(await read(params.second.weight))).toEqual([0.333984375, 0, Number.POSITIVE_INFINITY]);
  });

  test('that cannot be read leave nothing on the device', async () => {
    const device = await openDevice('reference');
    const bytes = await toSafetensorsBytes(stored());
    const source = fromBytes(bytes, 'memory');
    const failing = await openSafetensors({
      ...source,
      read: (offset, length) =>
        offset + length === bytes.length ? Promise.reject(new Error('torn')) : source.read(offset, length),
    });
    const params = loadParameters(model().init(key(0)), failing, { device });
    await expect(params).rejects.toThrow('torn');
    expect(device.memory().buffers).toBe(0);
  });

  test('that a device has no dtype for are refused', async () => {
    const device = await openDevice('reference');
    const small: Device = Object.assign(Object.create(device), { name: 'small', dtypes: new Set(['f32']) });
    await expect(loadParameters(model().init(key(0)), await reader(stored()), { device: small })).rejects.toThrow(
      `  of a dtype that the device 'small' does not have (2):
    first.weight is F16
    second.weight is BF16`,
    );
  });

  test.each([
    { stored: 'F32', shards: 1 },
    { stored: 'F16', shards: 1 },
    { stored: 'BF16', shards: 6 },
  ] as const)(
    'take no more of the host than one of them and 64 MB: $stored, $shards files',
    async ({ stored, shards }) => {
      const [count, rows, columns] = [24, 2048, 4096];
      const size = rows * columns * (stored === 'F32' ? 4 : 2);
      const layers = module(
        { layers: Array.from({ length: count }, () => linear(columns, rows, { bias: false })) },
        () => 0,
      );
      await using files = await zeroFiles(
        shards,
        Array.from({ length: count }, (_, i) => ({ name: `layers.${i}.weight`, stored, shape: [rows, columns], size })),
      );
      const sizes: number[] = [];
      const nothing: MemoryUse = { bytes: 0, buffers: 0, peakBytes: 0, peakBuffers: 0 };
      const before = process.memoryUsage().arrayBuffers;
      // A device with memory of its own, so that what is counted is what is left on the host.
      const elsewhere: Device = {
        name: 'elsewhere',
        description: 'keeps nothing',
        dtypes: new Set(['f32', 'f16', 'bf16']),
        upload: (_, storage) => {
          sizes.push(process.memoryUsage().arrayBuffers - before);
          return { byteLength: storage.byteLength };
        },
        run: async () => [],
        download: async () => new Float32Array(0),
        peek: () => undefined,
        free: () => undefined,
        memory: () => nothing,
        resetPeak: () => undefined,
      };
      await using file = await openSafetensorsPath(files.path);
      const loaded = await loadParameters(layers.init(key(0)), file, { device: elsewhere });
      expect(loaded.layers[0]?.weight.dtype).toBe(stored.toLowerCase());
      expect(sizes).toHaveLength(count);
      expect(Math.max(...sizes)).toBeLessThan(size + 64e6);
    },
  );
});

/** What a file is to hold, all of it zeros. */
interface ZeroEntry {
  readonly name: string;
  readonly stored: 'F32' | 'F16' | 'BF16';
  readonly shape: readonly number[];
  /** In bytes. */
  readonly size: number;
}

/** Large files of zeros, which take next to nothing of the disk; with several, `path` is that of their index. */
async function zeroFiles(shards: number, entries: readonly ZeroEntry[]): Promise<AsyncDisposable & { path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'large-'));
  const weightMap: Record<string, string> = {};
  const names = Array.from({ length: shards }, (_, i) => `large-${i + 1}.safetensors`);
  for (const [shard, fileName] of names.entries()) {
    let end = 0;
    const header = Object.fromEntries(
      entries.flatMap(({ name, stored, shape, size }, i) => {
        if (i % shards !== shard) return [];
        weightMap[name] = fileName;
        end += size;
        return [[name, { dtype: stored, shape, data_offsets: [end - size, end] }]];
      }),
    );
    const text = new TextEncoder().encode(JSON.stringify(header));
    const start = new Uint8Array(8 + text.length);
    new DataView(start.buffer).setBigUint64(0, BigInt(text.length), true);
    start.set(text, 8);
    await writeFile(join(folder, fileName), start);
    await truncate(join(folder, fileName), start.length + end);
  }
  const path = join(folder, shards === 1 ? (names[0] as string) : 'large.safetensors.index.json');
  const total = entries.reduce((sum, { size }) => sum + size, 0);
  if (shards > 1) await writeFile(path, JSON.stringify({ metadata: { total_size: total }, weight_map: weightMap }));
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

test('a manifest has names and shapes, and costs nothing', () => {
  expect(manifestOf(model().init(key(0)))).toEqual({
    parameters: 13,
    tensors: 4,
    shapes: { 'first.weight': [3, 2], 'first.bias': [3], 'second.weight': [1, 3], 'second.bias': [1] },
  });
  const large = unet2dConditionModel({ cross_attention_dim: 768 });
  expect(manifestOf(large.init(key(0)))).toMatchObject({ parameters: 859520964, tensors: 686 });
});

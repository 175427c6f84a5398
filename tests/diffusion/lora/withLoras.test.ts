import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kohyaLoraTensors } from 'diffusion-dpo/diffusion';
import { loadPipeline, openPipeline, savePipelineFolder, withLoras } from 'diffusion-dpo/diffusion/node';
import { type LoraAdapter, loraTensors } from 'diffusion-dpo/nn';
import { flattenTree, openDevice, read, setDefaultDevice, type Tensor } from 'diffusion-dpo/tensor';
import { saveSafetensors } from 'diffusion-dpo/tensor/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyLatents } from '../pipeline/tinyLatents.ts';
import { type PartAdapters, tinyAdapters } from './tinyAdapters.ts';

const device = await openDevice('wasm');
setDefaultDevice(device);

let folder = '';
const at = (name: string) => join(folder, name);
const { adapters, config } = await tinyAdapters('sdxl');
const { adapters: ofSd15 } = await tinyAdapters('sd15');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lora-'));
  await writeTinyLatents(at('sdxl'), 'sdxl');
  await saveSafetensors(at('kohya.safetensors'), kohyaLoraTensors(config, adapters));
  await saveSafetensors(at('peft.safetensors'), loraTensors({ unet: adapters.unet ?? {} }));
  await saveSafetensors(at('sd15.safetensors'), loraTensors(ofSd15));
  await saveSafetensors(at('text.safetensors'), loraTensors({ text_encoder: ofSd15.text_encoder ?? {} }));
});
afterAll(() => rm(folder, { recursive: true }));

/** Σ_k B[o, k]·A[k, i] with the axes behind the first as one, in f64, and Σ_k |…|. */
async function product({ down, up }: LoraAdapter): Promise<{ sum: number[]; size: number[] }> {
  const [a, b] = [Array.from(await read(down), Number), Array.from(await read(up), Number)];
  const [rank, outputs] = [down.shape[0] as number, up.shape[0] as number];
  const inputs = a.length / rank;
  const terms = Array.from({ length: outputs * inputs }, (_, i) =>
    Array.from(
      { length: rank },
      (__, k) => (b[Math.floor(i / inputs) * rank + k] as number) * (a[k * inputs + (i % inputs)] as number),
    ),
  );
  const total = (of: (x: number) => number) => terms.map((own) => own.reduce((sum, x) => sum + of(x), 0));
  return { sum: total((x) => x), size: total(Math.abs) };
}

const weights = (params: unknown) => new Map(flattenTree(params).map(({ path, tensor }) => [path, tensor]));

/**
 * The largest distance of merged weights from W + Σ factor·B·A, in units of their rounding in f32: 2⁻²⁴ of Σ|terms|, once for each of
 * up to r + 1 = 3 sums of a product, its scale and the sums of two products with the weight.
 */
async function distance(
  params: unknown,
  merged: unknown,
  all: readonly { readonly own: PartAdapters; readonly factor: number }[],
): Promise<number> {
  const [before, after] = [weights(params), weights(merged)];
  let largest = 0;
  for (const [name, tensor] of before) {
    const path = name.replace(/\.weight$/, '');
    const [expected, sizes] = [Array.from(await read(tensor), Number), Array.from(await read(tensor), Math.abs)];
    const scale = expected.map(() => 0);
    for (const { own, factor } of all) {
      const [part = '', ...rest] = path.split('.');
      const adapter = name.endsWith('.weight') ? own[part as keyof PartAdapters]?.[rest.join('.')] : undefined;
      if (adapter === undefined) continue;
      const { sum, size } = await product(adapter);
      expected.forEach((x, i) => {
        expected[i] = x + factor * (sum[i] as number);
        scale[i] = (scale[i] as number) + Math.abs(factor) * (size[i] as number) + (sizes[i] as number);
      });
    }
    const found = Array.from(await read(after.get(name) as Tensor), Number);
    found.forEach((x, i) => {
      const error = Math.abs(x - (expected[i] as number));
      const unit = 2 ** -24 * (scale[i] as number);
      // A weight without adapters is the same.
      largest = Math.max(largest, error === 0 ? 0 : error / unit);
    });
  }
  return largest;
}

describe('a pipeline with LoRAs', () => {
  test('has scale·(alpha/r)·B·A of each added to its weights, and all others as they are', async () => {
    const source = await openPipeline(at('sdxl'));
    const { params } = await loadPipeline(source);
    const sources = [
      { path: at('kohya.safetensors'), scale: 0.5 },
      { path: at('peft.safetensors'), scale: -2 },
    ];
    const { params: merged } = await loadPipeline(await withLoras(source, sources));
    const all = [
      { own: adapters, factor: 0.5 * (3 / 2) },
      { own: { unet: adapters.unet ?? {} }, factor: -2 * (3 / 2) },
    ];
    expect(await distance(params, merged, all)).toBeLessThan(8);
    // The comparison sees a LoRA that is left out.
    expect(await distance(params, merged, all.slice(0, 1))).toBeGreaterThan(1e4);
  });

  test('in bf16 is rounded once, from the sum in f32', async () => {
    const source = await openPipeline(at('sdxl'));
    const { params } = await loadPipeline(source, { dtype: 'bf16' });
    await savePipelineFolder(at('halves'), { ...source, params });
    const twice = [1, 1].map((scale) => ({ path: at('peft.safetensors'), scale }));
    const half = await openPipeline(at('halves'));
    const merged = await (await withLoras(half, twice)).loadPart('unet');
    const precise = await (await withLoras(half, twice)).loadPart('unet', { dtype: 'f32' });
    const [a, b] = [weights(merged), weights(precise)];
    const name = 'mid_block.attentions.0.proj_in.weight';
    expect(a.get(name)?.dtype).toBe('bf16');
    const rounded = (b.get(name) as Tensor).cast('bf16');
    expect(Array.from(await read(a.get(name) as Tensor))).toEqual(Array.from(await read(rounded)));
  });

  test('may be given the folder that diffusers writes them to', async () => {
    const source = await openPipeline(at('sdxl'));
    const path = join(at('tuned'), 'pytorch_lora_weights.safetensors');
    await mkdir(at('tuned'));
    await saveSafetensors(path, loraTensors({ unet: adapters.unet ?? {} }));
    const name = 'mid_block.attentions.0.proj_in.weight';
    const mergedBy = async (file: string) => {
      const params = await (await withLoras(source, [{ path: file, scale: 1 }])).loadPart('unet');
      return read(weights(params).get(name) as Tensor);
    };
    expect(await mergedBy(at('tuned'))).toEqual(await mergedBy(path));
    await expect(withLoras(source, [{ path: at('none'), scale: 1 }])).rejects.toThrow(`cannot open ${at('none')}`);
  });

  test('holds no more memory than without', async () => {
    const used = () => device.memory?.().bytes ?? 0;
    const source = await openPipeline(at('sdxl'));
    const start = used();
    const plain = await source.loadPart('unet');
    const [one] = [used() - start];
    const merged = await (await withLoras(source, [{ path: at('peft.safetensors'), scale: 1 }])).loadPart('unet');
    expect(used() - start).toBe(2 * one);
    expect([plain, merged]).toHaveLength(2);
  });

  test('refuses LoRAs of another model before weights are read', async () => {
    const source = await openPipeline(at('sdxl'));
    await expect(withLoras(source, [{ path: at('sd15.safetensors'), scale: 1 }])).rejects.toThrow(
      `${at('sd15.safetensors')}: this LoRA is of another model than ${at('sdxl')}: it is made for a UNet that attends to text of width 8, ` +
        'and this one attends to text of width 20; use it with the model that it was trained on',
    );
  });
});

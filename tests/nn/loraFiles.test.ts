import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  attachLora,
  attention,
  conv2d,
  initLora,
  type LoraAdapters,
  loraTensors,
  mergeLora,
  module,
  readLora,
} from 'diffusion-dpo/nn';
import { loadLora, saveLora } from 'diffusion-dpo/nn/node';
import {
  flattenTree,
  fromBytes,
  item,
  key,
  mapTree,
  openDevice,
  openSafetensors,
  random,
  read,
  setDefaultDevice,
  type Tensor,
  tensor,
  toSafetensorsBytes,
  zeros,
} from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const block = module({ attn1: attention({ queryDim: 4, heads: 2, headDim: 3 }), conv: conv2d(4, 2, 3) }, () => 0);
const unet = { mid_block: { attentions: [block.init(key(0))] } };
const at = 'mid_block.attentions.0';
const adapters: LoraAdapters = mapTree(
  initLora(unet, key(1), { targets: ['**.to_*.**', '**.to_*', '**.conv'], rank: 2 }),
  (x, path) => (path.endsWith('.up') ? random.normal(key(path.length), x.shape) : x),
);

const opened = async (tensors: Record<string, Tensor>, metadata: Record<string, string> = {}) =>
  openSafetensors(fromBytes(await toSafetensorsBytes(tensors, { metadata }), 'lora.safetensors'));
const readFrom = async (tensors: Record<string, Tensor>, metadata?: Record<string, string>) =>
  (await readLora(await opened(tensors, metadata), { unet })).unet;

/** Everything that adapters are, in numbers. */
const contents = async (own: LoraAdapters) => {
  const tensors = flattenTree(own).map(async ({ path, tensor: x }) => [
    path,
    x.dtype,
    x.shape,
    Array.from(await read(x)),
  ]);
  const alphas = Object.entries(own).map(([path, { alpha }]) => [path, alpha]);
  return new Map([...(await Promise.all(tensors)), ...alphas].map((entry) => [String(entry), entry]));
};
const expectSame = async (a: LoraAdapters, b: LoraAdapters) =>
  expect([...(await contents(a)).keys()].sort()).toEqual([...(await contents(b)).keys()].sort());

describe('names', () => {
  test('are written as PEFT has them', () => {
    expect(
      Object.entries(loraTensors({ unet: adapters })).map(([name, { shape }]) => `${name} ${shape.join('×')}`),
    ).toEqual([
      `unet.${at}.attn1.to_q.lora_A.weight 2×4`,
      `unet.${at}.attn1.to_q.lora_B.weight 6×2`,
      `unet.${at}.attn1.to_k.lora_A.weight 2×4`,
      `unet.${at}.attn1.to_k.lora_B.weight 6×2`,
      `unet.${at}.attn1.to_v.lora_A.weight 2×4`,
      `unet.${at}.attn1.to_v.lora_B.weight 6×2`,
      `unet.${at}.attn1.to_out.0.lora_A.weight 2×6`,
      `unet.${at}.attn1.to_out.0.lora_B.weight 4×2`,
      `unet.${at}.conv.lora_A.weight 2×4×3×3`,
      `unet.${at}.conv.lora_B.weight 2×2×1×1`,
    ]);
  });

  test('of PEFT are read', async () => expectSame(await readFrom(loraTensors({ unet: adapters })), adapters));

  const attentionOnly = Object.fromEntries(Object.entries(adapters).filter(([path]) => path.includes('.to_')));
  const named = (nameOf: (path: string, part: 'down' | 'up') => string) =>
    Object.fromEntries(
      Object.entries(attentionOnly).flatMap(([path, { down, up }]) => [
        [nameOf(path, 'down'), down],
        [nameOf(path, 'up'), up],
      ]),
    );

  test('of diffusers’ scripts are read', async () => {
    const tensors = named((path, part) => `unet.${path}.lora.${part}.weight`);
    expect(tensors).toHaveProperty([`unet.${at}.attn1.to_out.0.lora.down.weight`]);
    await expectSame(await readFrom(tensors), attentionOnly);
  });

  test.each(['unet.', ''])('of attention processors are read, with "%s" in front', async (front) => {
    const tensors = named((path, part) => {
      const projection = path.slice(`${at}.attn1.`.length).replace('.0', '');
      return `${front}${at}.attn1.processor.${projection}_lora.${part}.weight`;
    });
    expect(tensors).toHaveProperty([`${front}${at}.attn1.processor.to_out_lora.up.weight`]);
    await expectSame(await readFrom(tensors), attentionOnly);
  });

  test('of several models are told apart', async () => {
    const text_encoder = { layers: [block.init(key(5))] };
    const own = initLora(text_encoder, key(6), { rank: 1 });
    const file = await opened(loraTensors({ unet: adapters, text_encoder: own }));
    const found = await readLora(file, { unet, text_encoder });
    await expectSame(found.unet, adapters);
    await expectSame(found.text_encoder, own);
  });
});

describe('alpha', () => {
  const path = `${at}.attn1.to_q`;
  const down = tensor([[1, 2, 3, 4]]);
  const up = tensor([[1], [2], [3], [4], [5], [6]]);
  const pair = { [`unet.${path}.lora_A.weight`]: down, [`unet.${path}.lora_B.weight`]: up };
  const alphaIn = async (tensors: Record<string, Tensor>, settings?: unknown) =>
    (await readFrom({ ...pair, ...tensors }, settings ? { lora_adapter_metadata: JSON.stringify(settings) } : {}))[path]
      ?.alpha;

  test('is r where nothing is said', async () => expect(await alphaIn({})).toBe(1));

  test('is a tensor beside the layer, or in the metadata', async () => {
    expect(await alphaIn({ [`unet.${path}.alpha`]: tensor(4) })).toBe(4);
    expect(await alphaIn({ [`unet.${path}.alpha`]: tensor([4]) })).toBe(4);
    const settings = { 'unet.lora_alpha': 8, 'unet.r': 1, 'unet.use_dora': false, 'text_encoder.lora_alpha': 3 };
    expect(await alphaIn({}, settings)).toBe(8);
    expect(await alphaIn({}, { ...settings, 'unet.alpha_pattern': { 'attn1.to_q': 2, 'attn1.to_k': 5 } })).toBe(2);
    expect(await alphaIn({}, { ...settings, 'unet.alpha_pattern': { '^to_q': 2, o_q: 3 } })).toBe(2);
    expect(await alphaIn({ [`unet.${path}.alpha`]: tensor(4) }, settings)).toBe(4);
  });

  test('in metadata that cannot be honoured is refused', async () => {
    const refused = (settings: unknown) =>
      expect(readFrom(pair, { lora_adapter_metadata: JSON.stringify(settings) })).rejects;
    await refused({ 'unet.use_dora': true }).toThrow(
      'lora.safetensors: the metadata ask for unet.use_dora = true, which is not supported',
    );
    await refused({ 'unet.use_rslora': true }).toThrow('unet.use_rslora = true');
    await refused({ 'unet.lora_alpha': '8' }).toThrow('unet.lora_alpha = "8"');
    await refused({ 'unet.alpha_pattern': { '(a+)+$': 2 } }).toThrow('unet.alpha_pattern = {"(a+)+$":2}');
    await refused([]).toThrow('the metadata lora_adapter_metadata is not a JSON object');
  });

  test('is written into B, so that every reader computes the same', async () => {
    const own = { [path]: { down, up, alpha: 0.5 } };
    const tensors = loraTensors({ unet: own });
    expect(await read(tensors[`unet.${path}.lora_B.weight`] as Tensor)).toEqual(
      Float32Array.of(0.5, 1, 1.5, 2, 2.5, 3),
    );
    const weightOf = (tree: typeof unet) => tree.mid_block.attentions[0]?.attn1.to_q.weight as Tensor;
    const [a, b] = [mergeLora(unet, own), mergeLora(unet, await readFrom(tensors))].map(weightOf) as [Tensor, Tensor];
    expect(await item(a.sub(b).abs().max())).toBe(0);
  });
});

describe('what does not fit', () => {
  test('is listed in one error', async () => {
    const q = `unet.${at}.attn1.to_q`;
    const tensors = {
      [`${q}.lora_A.weight`]: zeros([2, 5]),
      [`${q}.lora_B.weight`]: zeros([6, 2]),
      [`${q}.alpha`]: zeros([2]),
      [`unet.${at}.attn1.to_k.lora_A.weight`]: zeros([2, 4]),
      [`unet.${at}.attn1.to_v.lora_A.weight`]: zeros([3, 4]),
      [`unet.${at}.attn1.to_v.lora.down.weight`]: zeros([3, 4]),
      [`unet.${at}.attn1.to_v.lora_B.weight`]: zeros([6, 2]),
      [`unet.${at}.conv.alpha`]: zeros([]),
      [`unet.${at}.attn2.to_q.lora_A.weight`]: zeros([2, 4]),
      [`unet.${at}.attn2.to_q.lora_B.weight`]: zeros([6, 2]),
      'unet.conv_in.weight': zeros([1]),
      'lora_te_text_model_encoder.lora_down.weight': zeros([1]),
    };
    const error = await readFrom(tensors).catch((reason: unknown) => reason);
    expect(error).toHaveProperty('name', 'FormatError');
    expect((error as Error).message.split('\n')).toEqual([
      'lora.safetensors: there are 9 problems:',
      "  'unet.conv_in.weight' is not the name of a part of an adapter",
      `  'unet.${at}.attn1.to_v.lora.down.weight' and 'unet.${at}.attn1.to_v.lora_A.weight' are two names of one tensor`,
      "  unet: 'lora_te_text_model_encoder' has A (down), but no B (up)",
      `  unet: '${at}.attn1.to_k' has A (down), but no B (up)`,
      `  unet: '${q}.alpha' must be one number, not [2]`,
      `  unet: '${at}.conv' has an alpha, but no A (down) and B (up)`,
      `  unet: A (down) of '${at}.attn1.to_q', whose weight is [6, 4], must be [rank, 4], not [2, 5]`,
      `  unet: B (up) of '${at}.attn1.to_v', whose weight is [6, 4], must be [6, 3] beside an A of rank 3, not [6, 2]`,
      `  unet: there is no linear layer or convolution '${at}.attn2.to_q'`,
    ]);
  });

  test('may be a whole file', async () => {
    await expect(readFrom({})).rejects.toThrow('lora.safetensors: the file holds no tensors');
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`x${i}`, zeros([1])]));
    await expect(readFrom(many)).rejects.toThrow(/there are 50 problems:\n(.*\n){20} {2}… and 30 more$/);
  });
});

describe('files on disk', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lora-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('are written and read, in the dtypes that adapters have', async () => {
    const path = join(folder, 'pytorch_lora_weights.safetensors');
    const halves = mapTree(adapters, (x) => x.cast('f16'));
    await saveLora(path, { unet: halves });
    expect(await readdir(folder)).toEqual(['pytorch_lora_weights.safetensors']);
    const found = await loadLora(path, { unet });
    await expectSame(found.unet, halves);
    expect(Object.keys(attachLora(unet, found.unet).mid_block.attentions[0]?.conv ?? {})).toContain('lora');
  });

  test('that are not there are named', async () => {
    const path = join(folder, 'none.safetensors');
    await expect(loadLora(path, { unet })).rejects.toThrow(`cannot open ${path}: there is no such file or folder`);
  });
});

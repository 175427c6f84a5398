import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clipTextModel, clipTokenizer, tokenIds } from 'diffusion-dpo/diffusion';
import { loadPipelineFolder } from 'diffusion-dpo/diffusion/node';
import { key, mapTree, ones, openDevice, read, realize, setDefaultDevice, tensor } from 'diffusion-dpo/tensor';
import { afterAll, describe, expect, test } from 'vitest';
import { writeTinyPipeline } from '../../dpo/tinyPipeline.ts';

setDefaultDevice(await openDevice('reference'));

const folder = await mkdtemp(join(tmpdir(), 'end-token-'));
afterAll(() => rm(folder, { recursive: true }));
const base = fileURLToPath(new URL('../../../examples/emoji/base', import.meta.url));

const config = {
  architectures: ['CLIPTextModelWithProjection'],
  vocab_size: 20,
  hidden_size: 4,
  intermediate_size: 8,
  projection_dim: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 6,
};
const fresh = clipTextModel(config).init(key(1));
const encode = (eos: number | null | undefined, ids: readonly (readonly number[])[], params = fresh) =>
  clipTextModel({ ...config, ...(eos === undefined ? {} : { eos_token_id: eos }) }).apply(
    params,
    tensor(ids, { dtype: 'i32' }).reshape([ids.length, ids[0]?.length ?? 0]),
  );

/** At which place each pooled text was taken. */
async function placesOf(eos: number, ids: readonly (readonly number[])[]): Promise<number[]> {
  const { pooled, lastHiddenState } = encode(eos, ids);
  const [taken, states] = [await read(pooled), await read(lastHiddenState)];
  const tokens = ids[0]?.length ?? 0;
  return ids.map((_, n) =>
    Array.from({ length: tokens }, (_, i) => i).findIndex((i) =>
      [0, 1, 2, 3].every((k) => states[(n * tokens + i) * 4 + k] === taken[n * 4 + k]),
    ),
  );
}

describe('the pooled text is taken', () => {
  const prompts = [
    [18, 3, 17, 19, 17, 17],
    [18, 17, 17, 17, 17, 17],
    [18, 3, 4, 5, 6, 17],
  ];
  test('at the first end token, though there are larger ids and more of its kind', async () => {
    expect(await placesOf(17, prompts)).toEqual([2, 1, 5]);
  });

  test('at the largest id where the configuration says 2, as transformers has it', async () => {
    expect(await placesOf(2, prompts)).toEqual([3, 0, 0]);
  });

  test.each(['reference', 'wasm'] as const)('never at place 0 of a prompt without it, on %s', async (kind) => {
    const device = await openDevice(kind);
    const filled = mapTree(fresh, ({ shape }) => ones(shape));
    const { pooled, textEmbeds } = encode(16, [...prompts.slice(1), [18, 3, 16, 1, 1, 1]], filled);
    for (const one of [pooled, textEmbeds]) await expect(realize(one, { device })).rejects.toThrow(/index 6/);
  });

  test('nowhere where the id is not one of the vocabulary', () => {
    for (const [eos, message] of [
      [undefined, 'eos_token_id is 49407 (which is the default), but vocab_size is 20'],
      [20, 'eos_token_id is 20, but vocab_size is 20'],
      [null, 'eos_token_id is null'],
    ] as const) {
      const encoded = encode(eos, prompts);
      expect(() => encoded.pooled).toThrow(message);
      expect(() => encoded.textEmbeds).toThrow(message);
      expect(encoded.lastHiddenState.shape).toEqual([3, 6, 4]);
    }
  });
});

describe('the example', () => {
  test('has its tokenizer’s own end id, and pooled texts that differ by caption', async () => {
    const { config, tokenizer, params, model } = await loadPipelineFolder(base, { dtype: 'f32' });
    const { endId, startId, ...own } = clipTokenizer(tokenizer);
    expect(config.textEncoder).toMatchObject({ eos_token_id: endId, bos_token_id: startId, vocab_size: 914 });
    const ids = tokenIds({ ...own, endId, startId }, ['cat face', 'dog face', 'a longer name of a pizza', '']);
    const { added } = model.condition(params, ids, [16, 16]);
    const values = Array.from(await read((added as NonNullable<typeof added>).textEmbeds));
    const rows = [0, 1, 2, 3].map((i) => values.slice(64 * i, 64 * (i + 1)));
    for (const [i, row] of rows.entries())
      for (const other of rows.slice(0, i))
        expect(row.some((value, k) => Math.abs(value - (other[k] as number)) > 0.01)).toBe(true);
  });

  test.each([
    [
      'none',
      undefined,
      /config\.json: eos_token_id is 49407 \(which is the default\), but vocab_size is 914; .* "eos_token_id": 913/,
    ],
    ['another', 5, /config\.json: eos_token_id is 5; the tokenizer's end token has the id 913/],
  ])('with %s is refused', async (name, eos, message) => {
    const path = join(folder, name);
    await cp(base, path, { recursive: true });
    const file = join(path, 'text_encoder_2', 'config.json');
    const { eos_token_id: _, ...rest } = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...rest, eos_token_id: eos }));
    await expect(loadPipelineFolder(path)).rejects.toThrow(message);
  });
});

test('tokens that the text encoder does not have are named with their file', async () => {
  await writeTinyPipeline(join(folder, 'tiny'));
  const vocabulary = join(folder, 'tiny', 'tokenizer', 'vocab.json');
  const text = await readFile(vocabulary, 'utf8');
  await writeFile(vocabulary, text.replace(/"a":\d+/, '"a":1044'));
  await expect(loadPipelineFolder(join(folder, 'tiny'))).rejects.toThrow(
    /vocab\.json: the token "a" has the id 1044, but the text encoder has \d+ tokens \(vocab_size of .*config\.json\)/,
  );
  await writeFile(vocabulary, text);
  await writeFile(join(folder, 'tiny', 'tokenizer', 'added_tokens.json'), '{"<new>": 1045}');
  await expect(loadPipelineFolder(join(folder, 'tiny'))).rejects.toThrow('the token "<new>" has the id 1045');
});

import { clipTextModel } from 'diffusion-dpo/diffusion';
import { expect, test } from 'vitest';

const small = { vocab_size: 8, hidden_size: 4, intermediate_size: 4, num_hidden_layers: 1, num_attention_heads: 1 };

test('fields that transformers writes into any configuration are passed over', () => {
  const written = {
    ...{ dtype: 'float32', torch_dtype: 'float16', transformers_version: '4.56.0', _attn_implementation: 'sdpa' },
    ...{ output_attentions: false, pruned_heads: {}, tie_word_embeddings: true, top_k: 50, id2label: { 0: 'LABEL_0' } },
    ...{ tokenizer_class: null, use_bfloat16: false, quantization_config: null, problem_type: null, image_size: 224 },
  };
  expect(() => clipTextModel({ ...small, architectures: ['CLIPTextModel'], ...written })).not.toThrow();
});

test.each([
  ['pruned_heads', { 0: [1] }],
  ['quantization_config', { load_in_8bit: true }],
  ['model_type', 'bert'],
  ['attention_dropout', 0.1],
  ['hidden_sise', 4],
])('%s is refused by name where it would change the result', (name, value) => {
  expect(() => clipTextModel({ ...small, [name]: value })).toThrow(`\n  ${name}: `);
});

import { type KeyRow, type KeyTable, keyTable } from './keyTable.ts';

/**
 * How a single file holds a text encoder: as transformers does, or as it did before it had `text_model`, or as OpenCLIP does.
 */
export type TextLayout = 'clip' | 'clip without text_model' | 'OpenCLIP';

/** OpenCLIP has the three projections of attention in one tensor, whose rows are the query's, the key's and the value's. */
const fused = (ours: string, form: 'query' | 'key' | 'value'): readonly KeyRow[] => [
  [`self_attn.${ours}.weight`, 'attn.in_proj_weight', form],
  [`self_attn.${ours}.bias`, 'attn.in_proj_bias', form],
];

const layer: readonly KeyRow[] = [
  ...fused('q_proj', 'query'),
  ...fused('k_proj', 'key'),
  ...fused('v_proj', 'value'),
  ['self_attn.out_proj', 'attn.out_proj'],
  ['layer_norm1', 'ln_1'],
  ['layer_norm2', 'ln_2'],
  ['mlp.fc1', 'mlp.c_fc'],
  ['mlp.fc2', 'mlp.c_proj'],
];

/** The names of a CLIPTextModel in the ways in which single files hold it. */
export const textKeys: Readonly<Record<TextLayout, KeyTable>> = {
  clip: keyTable([
    ['text_model', 'text_model'],
    ['text_projection', 'text_projection'],
  ]),
  'clip without text_model': keyTable([
    ['text_model', ''],
    ['text_projection', 'text_projection'],
  ]),
  OpenCLIP: keyTable([
    ['text_model.embeddings.token_embedding', 'token_embedding'],
    ['text_model.embeddings.position_embedding.weight', 'positional_embedding'],
    ['text_model.encoder.layers.#', (index) => `transformer.resblocks.${index}`, layer],
    ['text_model.final_layer_norm', 'ln_final'],
    ['text_projection.weight', 'text_projection', 'transposed'],
  ]),
};

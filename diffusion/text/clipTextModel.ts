import { activation, embedding, layerNorm, linear, module } from '../../nn/index.ts';
import {
  argMax,
  cast,
  equal,
  iota,
  oneHot,
  scaledDotProductAttention,
  type Tensor,
  TensorError,
  take,
  where,
} from '../../tensor/index.ts';
import {
  type ConfigOf,
  ignored,
  integer,
  integerOrNull,
  integerUpTo,
  number,
  oneOf,
  readConfig,
  text,
} from '../config.ts';
import { transformersFields } from './transformersFields.ts';

/** Options of `clipEncoderLayer`, as in the configuration of a CLIPTextModel. */
export interface ClipEncoderLayerOptions {
  readonly width: number;
  readonly heads: number;
  /** Of the wide layer. */
  readonly inner: number;
  readonly activation: string;
  readonly eps: number;
}

/** Causal self-attention and a feed-forward layer, normalised before, with residual connections (CLIPEncoderLayer). */
export function clipEncoderLayer({ width, heads, inner, activation: name, eps }: ClipEncoderLayerOptions) {
  const act = activation(name);
  const square = () => linear(width, width);
  const attention = module(
    { q_proj: square(), k_proj: square(), v_proj: square(), out_proj: square() },
    ({ q_proj, k_proj, v_proj, out_proj }, x: Tensor): Tensor => {
      const [batch, tokens] = x.shape as readonly [number, number, number];
      const split = (y: Tensor) => y.reshape([batch, tokens, heads, width / heads]).permute([0, 2, 1, 3]);
      const seen = scaledDotProductAttention(split(q_proj(x)), split(k_proj(x)), split(v_proj(x)), { causal: true });
      return out_proj(seen.permute([0, 2, 1, 3]).reshape([batch, tokens, width]));
    },
  );
  const mlp = module({ fc1: linear(width, inner), fc2: linear(inner, width) }, ({ fc1, fc2 }, x: Tensor) =>
    fc2(act(fc1(x))),
  );
  return module(
    { self_attn: attention, layer_norm1: layerNorm(width, { eps }), mlp, layer_norm2: layerNorm(width, { eps }) },
    ({ self_attn, layer_norm1, mlp, layer_norm2 }, x: Tensor): Tensor => {
      const h = x.add(self_attn(layer_norm1(x)));
      return h.add(mlp(layer_norm2(h)));
    },
  );
}

/** Far beyond any published encoder: a file that asks for more is broken or hostile. */
const mostLayers = 1024;

export const clipTextModelFields = {
  ...transformersFields,
  vocab_size: integer(49408),
  hidden_size: integer(512),
  intermediate_size: integer(2048),
  projection_dim: integer(512),
  num_hidden_layers: integerUpTo(mostLayers, 12),
  num_attention_heads: integer(8),
  max_position_embeddings: integer(77),
  hidden_act: text('quick_gelu'),
  layer_norm_eps: number(1e-5),
  model_type: oneOf('clip_text_model'),
  attention_dropout: oneOf(0),
  dropout: ignored,
  eos_token_id: integerOrNull(49407),
} as const;

/** What a `config.json` of transformers' CLIPTextModel says, with its defaults filled in. */
export type ClipTextModelConfig = ConfigOf<typeof clipTextModelFields>;

/** What a text encoder makes of prompts. */
export interface EncodedText {
  /** The embedded tokens, and what each layer gives: [N, tokens, width] each. */
  readonly hiddenStates: readonly Tensor[];
  /** The last of them, normalised: what Stable Diffusion 1 and 2 look at. */
  readonly lastHiddenState: Tensor;
  /** The hidden state of `skip` layers before the last, normalised as the last one is; 0 is the last hidden state. */
  normalizedState(skip: number): Tensor;
  /**
   * The last hidden state at the first end token, [N, width]. Throws where the configuration's `eos_token_id` is not below its
   * `vocab_size`. A prompt without that token is an error when this is evaluated: a gather at the number of tokens.
   */
  readonly pooled: Tensor;
  /** `pooled`, projected, where the model has a projection: [N, projection]. */
  readonly textEmbeds: Tensor | undefined;
}

/** The hidden state of so many layers before the last; throws where the encoder has fewer. */
export function stateBefore(hiddenStates: readonly Tensor[], skip: number): Tensor {
  const state = Number.isInteger(skip) && skip >= 0 ? hiddenStates.at(-1 - skip) : undefined;
  if (state !== undefined) return state;
  throw new TensorError(
    `clipTextModel: ${skip} layers cannot be skipped; the text encoder has ${hiddenStates.length - 1} layers (clip skip)`,
  );
}

/**
 * Where the first end token of each prompt is: [N]. As in transformers, 2 stands for the largest id, since configurations
 * said so before 4.31 whatever the tokenizer was.
 */
function endOf(ids: Tensor, { eos_token_id: id, vocab_size: size }: ClipTextModelConfig): Tensor {
  if (id === 2) return argMax(ids, 1);
  if (id === null || id >= size)
    throw new TensorError(`clipTextModel: ${endProblem(id, size)}; it must be the id of the tokenizer's end token`);
  const tokens = ids.shape[1] as number;
  const isEnd = cast(equal(ids, id), 'i32');
  // Where there is none, the place is beyond the last token, which is refused when it is looked up.
  return take(iota([tokens], 0, 'i32'), where(isEnd.max(1).greater(0), argMax(isEnd, 1), tokens));
}

const endProblem = (id: number | null, size: number): string =>
  `eos_token_id is ${id}${id === 49407 ? ' (which is the default)' : ''}, but vocab_size is ${size}`;

/**
 * What is wrong with a configuration's end token for a tokenizer, if pooled texts are to be taken at it. With 2 the largest
 * id is meant, and with others the tokenizer's own must be.
 */
export function endTokenProblem(json: unknown, endId: number): string | undefined {
  const { eos_token_id: id, vocab_size: size } = readConfig('CLIPTextModel', json, clipTextModelFields);
  if (id === 2 || (id === endId && id < size)) return undefined;
  const wrong = id === null || id >= size ? endProblem(id, size) : `eos_token_id is ${id}`;
  return `${wrong}; the tokenizer's end token has the id ${endId}, so this must be "eos_token_id": ${endId}`;
}

/** Halves as f32, in which everything after the lookup is computed. */
const widened = (x: Tensor): Tensor => (x.dtype === 'f16' || x.dtype === 'bf16' ? cast(x, 'f32') : x);

/**
 * The text encoder of CLIP (Radford et al. 2021; transformers' CLIPTextModel and CLIPTextModelWithProjection) from its
 * `config.json`: token ids i32[N, tokens] → hidden states.
 */
export function clipTextModel(json: unknown) {
  const config = readConfig('CLIPTextModel', json, clipTextModelFields);
  const { hidden_size: width, layer_norm_eps: eps } = config;
  const { architectures } = json as { readonly architectures?: readonly string[] };
  const projects = architectures?.includes('CLIPTextModelWithProjection') ?? false;
  const embeddings = module(
    {
      token_embedding: embedding(config.vocab_size, width),
      position_embedding: embedding(config.max_position_embeddings, width),
    },
    ({ token_embedding, position_embedding }, ids: Tensor): Tensor => {
      const tokens = ids.shape[1] as number;
      if (tokens > config.max_position_embeddings)
        throw new TensorError(
          `clipTextModel: ${tokens} tokens are too many: the model has ${config.max_position_embeddings} places`,
        );
      return widened(token_embedding(ids)).add(widened(position_embedding(iota([tokens], 0, 'i32'))));
    },
  );
  const layers = Array.from({ length: config.num_hidden_layers }, () =>
    clipEncoderLayer({
      width,
      heads: config.num_attention_heads,
      inner: config.intermediate_size,
      activation: config.hidden_act,
      eps,
    }),
  );
  const encoder = module({ layers }, ({ layers }, x: Tensor): readonly Tensor[] => {
    const states = [x];
    for (const layer of layers) states.push(layer(states.at(-1) as Tensor));
    return states;
  });
  const textModel = module(
    { embeddings, encoder, final_layer_norm: layerNorm(width, { eps }) },
    ({ embeddings, encoder, final_layer_norm }, ids: Tensor) => {
      const hiddenStates = encoder(embeddings(ids));
      const normalizedState = (skip: number): Tensor => final_layer_norm(stateBefore(hiddenStates, skip));
      return { hiddenStates, normalizedState, lastHiddenState: normalizedState(0) };
    },
  );
  return module(
    {
      text_model: textModel,
      text_projection: projects ? linear(width, config.projection_dim, { bias: false }) : undefined,
    },
    ({ text_model, text_projection }, ids: Tensor): EncodedText => {
      const { hiddenStates, lastHiddenState, normalizedState } = text_model(ids);
      const poolAt = (end: Tensor): Tensor => {
        const [batch, tokens] = ids.shape as readonly [number, number];
        const isEnd = cast(oneHot(end, tokens), lastHiddenState.dtype).reshape([batch, tokens, 1]);
        return lastHiddenState.mul(isEnd).sum(1);
      };
      return {
        hiddenStates,
        lastHiddenState,
        normalizedState,
        // Made when asked for: small encoders that are used without it often name no end token of theirs.
        get pooled() {
          return poolAt(endOf(ids, config));
        },
        get textEmbeds() {
          return text_projection?.(this.pooled);
        },
      };
    },
  );
}

import { type Field, ignoredFields, oneOf, readElsewhere } from '../config.ts';

/** A field that must hold nothing: null, or an empty list or object. */
const empty: Field<undefined> = (value) =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)
    ? { value: undefined }
    : { problem: 'is not supported unless it is empty' };

/**
 * Fields that transformers writes into the configuration of any model. Most are about the generation of text, about training,
 * or about what Python calls give back, and have no effect on an encoder.
 */
export const transformersFields = {
  ...ignoredFields([
    ...['name_or_path', 'transformers_version', 'tokenizer_class', 'dtype', 'torch_dtype'],
    ...['use_bfloat16', 'torchscript', 'tf_legacy_loss', 'attn_implementation', 'use_cache', 'return_dict'],
    ...['output_attentions', 'output_hidden_states', 'output_scores', 'return_dict_in_generate', 'is_decoder'],
    ...['is_encoder_decoder', 'add_cross_attention', 'cross_attention_hidden_size', 'tie_encoder_decoder'],
    ...['tie_word_embeddings', 'chunk_size_feed_forward', 'finetuning_task', 'problem_type', 'id2label', 'label2id'],
    ...[
      'num_labels',
      'task_specific_params',
      'prefix',
      'initializer_factor',
      'initializer_range',
      'gradient_checkpointing',
    ],
    ...['bos_token_id', 'pad_token_id', 'sep_token_id', 'decoder_start_token_id', 'forced_bos_token_id'],
    ...['forced_eos_token_id', 'suppress_tokens', 'begin_suppress_tokens', 'bad_words_ids', 'max_length', 'min_length'],
    ...['do_sample', 'early_stopping', 'num_beams', 'num_beam_groups', 'diversity_penalty', 'temperature', 'top_k'],
    ...['top_p', 'typical_p', 'repetition_penalty', 'length_penalty', 'no_repeat_ngram_size', 'num_return_sequences'],
    ...['encoder_no_repeat_ngram_size', 'remove_invalid_values', 'exponential_decay_length_penalty'],
    // Of CLIP as a whole, and of its other half.
    ...['logit_scale_init_value', 'image_size', 'patch_size', 'num_channels'],
  ]),
  // It names the class.
  architectures: readElsewhere,
  pruned_heads: empty,
  quantization_config: oneOf(null),
} as const;

import { FormatError, quote } from '../../tensor/index.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import { readConfig } from '../config.ts';
import { clipTextModelFields, endTokenProblem } from '../text/clipTextModel.ts';
import { type ClipTokenizerFiles, clipTokenizer } from '../text/clipTokenizer.ts';

/** Where a text encoder's tokenizer and configuration are, and whether its pooled text is used. */
export interface TokenizerUse {
  /** What messages call a file of the tokenizer. */
  readonly tokenizerPlace: (file: string) => string;
  readonly configPlace: string;
  /** The end token matters where pooled texts are used. */
  readonly usesPooled: boolean;
}

/**
 * Refuses a tokenizer whose ids are not those of a text encoder.
 * @throws FormatError with the first token that the encoder does not have, or with what is wrong with its end token
 */
export function checkTokenizer(
  tokenizer: ClipTokenizerFiles,
  config: JsonObject,
  { tokenizerPlace, configPlace, usesPooled }: TokenizerUse,
): void {
  const { vocab_size: size } = readConfig('CLIPTextModel', config, clipTextModelFields);
  const beyond = (file: string, token: string, id: number) =>
    new FormatError(
      `${tokenizerPlace(file)}: the token ${quote(token)} has the id ${id}, but the text encoder has ${size} tokens ` +
        `(vocab_size of ${configPlace}); are both of one model?`,
    );
  for (const [token, id] of Object.entries(tokenizer.vocabulary)) if (id >= size) throw beyond('vocab.json', token, id);
  for (const { content, id } of tokenizer.addedTokens ?? [])
    if (id >= size) throw beyond('tokenizer_config.json or added_tokens.json', content, id);
  const problem = usesPooled ? endTokenProblem(config, clipTokenizer(tokenizer).endId) : undefined;
  if (problem !== undefined) throw new FormatError(`${configPlace}: ${problem}`);
}

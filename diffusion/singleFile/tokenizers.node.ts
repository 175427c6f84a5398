import { readdir } from 'node:fs/promises';
import { attempt } from '../../tensor/index.node.ts';
import { FormatError } from '../../tensor/index.ts';
import type { ClipTokenizerFiles } from '../text/clipTokenizer.ts';
import { clipVocabulary } from '../text/clipVocabulary.node.ts';
import { loadTokenizerFolder } from '../text/tokenizerFolder.node.ts';
import { tokenizersIn } from './configFolder.node.ts';
import { knownPadTokens } from './knownParts.ts';
import type { Family } from './knownUNets.ts';

/** The tokenizers of a model's text encoders, in their order. */
type Tokenizers = readonly [ClipTokenizerFiles, ...ClipTokenizerFiles[]];

/** Tokenizers, and where they are from, in words. */
export interface FoundTokenizers {
  readonly tokenizers: Tokenizers;
  readonly place: string;
}

/**
 * The tokenizers of a folder that a user names: the folder of one tokenizer, which stands for those of all text encoders, or
 * that of a pipeline.
 */
async function given(folder: string, family: Family): Promise<Tokenizers> {
  const files = await attempt('open', folder, readdir(folder));
  const pads = knownPadTokens[family];
  if (files.includes('vocab.json')) {
    const one = await loadTokenizerFolder(folder);
    // The first text encoder's is as the folder has it; the second's differs in what fills up.
    return [one, ...pads.slice(1).map((padToken) => (padToken === undefined ? one : { ...one, padToken }))];
  }
  const found = await tokenizersIn(folder);
  const [first, ...others] = found;
  if (first !== undefined && found.length === pads.length) return [first, ...others];
  throw new FormatError(
    `${folder}: ${found.length === 0 ? 'holds no tokenizer: there is no vocab.json, and no tokenizer/' : `holds ${found.length} tokenizer(s)`}; ` +
      `the model has ${pads.length} text encoder(s)`,
  );
}

/**
 * The tokenizers of a single file, which holds none: those of a folder, those beside the configurations, or CLIP's own with what
 * fills up prompts in published pipelines.
 */
export async function tokenizersFor(
  family: Family,
  folder: string | undefined,
  beside: { readonly tokenizers: readonly ClipTokenizerFiles[]; readonly place: string | undefined },
): Promise<FoundTokenizers> {
  const [pad, ...otherPads] = knownPadTokens[family];
  if (folder !== undefined) return { tokenizers: await given(folder, family), place: folder };
  const [first, ...others] = beside.tokenizers;
  if (first !== undefined && others.length === otherPads.length)
    return { tokenizers: [first, ...others], place: `${beside.place}, its tokenizer` };
  const clip = { ...clipVocabulary(), maxLength: 77 };
  const padded = (padToken: string | undefined) => (padToken === undefined ? clip : { ...clip, padToken });
  return {
    tokenizers: [padded(pad), ...otherPads.map(padded)],
    place: "CLIP's tokenizer, which is taken where none is given with --tokenizer FOLDER",
  };
}

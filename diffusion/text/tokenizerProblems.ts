import { quote } from '../../tensor/index.ts';
import { byteSymbols } from './byteSymbols.ts';
import { type ClipTokenizerFiles, withDefaults } from './clipTokenizer.ts';

/** What is wrong with one of a tokenizer's files. */
export interface TokenizerProblem {
  readonly file: 'vocabulary' | 'merges' | 'added';
  readonly problem: string;
}

/** The share of a vocabulary's longer tokens that pairs may fail to give; of published tokenizers they give all. */
const mostUnreachable = 0.01;

/** The first thing that shows that a tokenizer's files are incomplete, or do not belong together. */
export function tokenizerProblem(files: ClipTokenizerFiles): TokenizerProblem | undefined {
  return vocabularyProblem(files) ?? addedProblem(files) ?? mergesProblem(files);
}

function vocabularyProblem(files: ClipTokenizerFiles): TokenizerProblem | undefined {
  const { vocabulary, startToken, endToken, padToken, unknownToken, addedTokens } = withDefaults(files);
  const wrong = (problem: string): TokenizerProblem => ({ file: 'vocabulary', problem });
  const owners = new Map<number, string>();
  for (const [token, id] of Object.entries(vocabulary)) {
    const other = owners.get(id);
    if (other !== undefined) return wrong(`the tokens ${quote(other)} and ${quote(token)} have the same id, ${id}`);
    owners.set(id, token);
  }
  if (owners.size === 0) return wrong('there are no tokens');
  const added = new Set(addedTokens.map(({ content }) => content));
  for (const [role, token] of Object.entries({
    start: startToken,
    end: endToken,
    pad: padToken,
    unknown: unknownToken,
  }))
    if (!Object.hasOwn(vocabulary, token) && !added.has(token))
      return wrong(`there is no token ${quote(token)}, which is the ${role} token; is it of another model?`);
  return undefined;
}

function addedProblem({ vocabulary, addedTokens = [] }: ClipTokenizerFiles): TokenizerProblem | undefined {
  const wrong = (problem: string): TokenizerProblem => ({ file: 'added', problem });
  const owners = new Map(Object.entries(vocabulary).map(([token, id]) => [id, token]));
  const ids = new Map<string, number>();
  for (const { content, id } of addedTokens) {
    if (content.trim() === '') return wrong(`the added token with the id ${id} has no text`);
    const before = ids.get(content);
    if (before !== undefined) return wrong(`the added token ${quote(content)} has two ids, ${before} and ${id}`);
    ids.set(content, id);
    const own = Object.hasOwn(vocabulary, content) ? vocabulary[content] : undefined;
    if (own !== undefined && own !== id)
      return wrong(`the added token ${quote(content)} has the id ${id}, but ${own} in the vocabulary`);
    const other = owners.get(id);
    if (other !== undefined && other !== content)
      return wrong(`the added token ${quote(content)} has the id ${id}, which is that of ${quote(other)}`);
    owners.set(id, content);
  }
  return undefined;
}

function mergesProblem({ vocabulary, merges }: ClipTokenizerFiles): TokenizerProblem | undefined {
  const wrong = (problem: string): TokenizerProblem => ({ file: 'merges', problem });
  const made = new Set(merges.map((pair) => pair.replace(' ', '')));
  for (const pair of merges)
    if (!Object.hasOwn(vocabulary, pair.replace(' ', '')))
      return wrong(
        `the pair ${quote(pair)} makes a token that the vocabulary does not have; are both files of one model, and complete?`,
      );
  const symbols = new Set(byteSymbols);
  // Tokens of other characters, such as <|endoftext|>, are not made of pairs; no other has brackets at both ends.
  const unreachable = Object.keys(vocabulary).filter((token) => {
    if (made.has(token)) return false;
    const text = [...token.replace(/<\/w>$/, '')];
    return text.length > 1 && text.every((symbol) => symbols.has(symbol)) && !/^<.+>$/.test(token);
  });
  const longer = made.size + unreachable.length;
  if (unreachable.length <= mostUnreachable * longer) return undefined;
  return wrong(
    `of the ${longer} longer tokens of the vocabulary ${unreachable.length}, such as ${quote(unreachable[0] as string)}, ` +
      'are made by no pair; are both files of one model, and complete?',
  );
}

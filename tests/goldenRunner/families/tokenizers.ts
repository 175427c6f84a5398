import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cleanPrompt, clipTokenizer, looksLikeMojibake, parseMerges, parseObject } from '../../../diffusion/index.ts';
import type { Comparison } from '../compare.ts';
import { isObject, type JsonObject } from '../params.ts';
import { type CaseReport, type Family, filesNamed, type GoldenFile, type LeftOut, type UnitReport } from './family.ts';

/** CLIP's tokenizer: a vocabulary and prompts with their cleaned text and ids, with either padding token of SDXL. */
export const tokenizers: Family = {
  name: 'tokenizers',
  claim: (files) =>
    files.filter(isCases).map((file) => {
      const own = filesNamed(files, dirname(file.path), ['cases.json', 'vocab.json', 'merges.txt']);
      return { files: own, check: () => checkPrompts(file) };
    }),
};

const isCases = ({ path, json }: GoldenFile): boolean =>
  path.endsWith('cases.json') && isObject(json) && String(json.description).startsWith('CLIP byte-pair encoding');

async function checkPrompts({ path, json }: GoldenFile): Promise<UnitReport> {
  const at = (name: string) => join(dirname(path), name);
  const vocabulary = parseObject(await readFile(at('vocab.json')), at('vocab.json')) as Record<string, number>;
  const merges = parseMerges(await readFile(at('merges.txt')), at('merges.txt'));
  const files = { vocabulary, merges };
  const [first, second] = [clipTokenizer(files), clipTokenizer({ ...files, padToken: '!' })];
  const cases: CaseReport[] = [];
  const leftOut: LeftOut[] = [];
  const specs = (json as JsonObject).cases as readonly JsonObject[];
  for (const [i, spec] of specs.entries()) {
    const prompt = String(spec.prompt);
    const name = `prompt ${i}`;
    if (looksLikeMojibake(prompt)) {
      const reason = 'text in a wrong encoding is warned of, not mended';
      leftOut.push({ file: path, name, reason, tensors: 0 });
      continue;
    }
    const ids = (spec.ids_transformers ?? spec.ids_openai) as readonly number[];
    const cleaned = cleanPrompt(prompt);
    const problems = cleaned === spec.cleaned_text ? [] : [`'${cleaned}' is cleaned, not '${spec.cleaned_text}'`];
    const cut = first.cutFrom(prompt);
    if ((cut !== undefined) !== (spec.truncated === true)) problems.push(`what is cut off: '${cut}'`);
    const comparisons = [
      different('ids', first.encode(prompt), ids),
      different('ids of tokenizer_2', second.encode(prompt), (spec.ids_transformers_tokenizer_2 ?? ids) as number[]),
    ];
    cases.push({ file: path, name, problems, comparisons });
  }
  return { expectedTensors: 2 * cases.length, cases, leftOut };
}

function different(tensor: string, found: readonly number[], expected: readonly number[]): Comparison {
  const error =
    Math.abs(found.length - expected.length) + expected.filter((id, i) => i < found.length && found[i] !== id).length;
  return { tensor, measure: 'number of different elements', error, bound: 0, passed: error === 0 };
}

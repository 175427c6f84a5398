import { decodeHTMLStrict } from 'entities';

/** Letters that are drawn as one: what ftfy's `fix_latin_ligatures` writes apart. */
const ligatures: Readonly<Record<string, string>> = {
  Ĳ: 'IJ',
  ĳ: 'ij',
  ŉ: 'ʼn',
  Ǳ: 'DZ',
  ǲ: 'Dz',
  ǳ: 'dz',
  Ǆ: 'DŽ',
  ǅ: 'Dž',
  ǆ: 'dž',
  Ǉ: 'LJ',
  ǈ: 'Lj',
  ǉ: 'lj',
  Ǌ: 'NJ',
  ǋ: 'Nj',
  ǌ: 'nj',
  ﬀ: 'ff',
  ﬁ: 'fi',
  ﬂ: 'fl',
  ﬃ: 'ffi',
  ﬄ: 'ffl',
  ﬅ: 'ſt',
  ﬆ: 'st',
};
const ligature = new RegExp(`[${Object.keys(ligatures).join('')}]`, 'gu');

/** Colours and cursor movements of a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const terminalEscape = /\u001b\[[\d;]*[a-zA-Z]/g;

/** Characters that no prompt means: control characters, marks of byte order and of annotations. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const control = /[\u0000-\u0008\u000b\u000e-\u001f\u007f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;

/**
 * Repairs a prompt as transformers' CLIPTokenizer does with ftfy's defaults, in its order: HTML entities (only where there is
 * no `<`, since a text with tags is meant as it is), terminal escapes, ligatures, letters of full and half width, curly
 * quotes, control characters, and Unicode in form NFC. What looks like text in a wrong encoding stays as it is:
 * `looksLikeMojibake` finds it.
 */
export function repairText(text: string): string {
  const unescaped = text.includes('<') ? text : decodeHTMLStrict(text);
  return unescaped
    .replace(terminalEscape, '')
    .replace(ligature, (letters) => ligatures[letters] as string)
    .replace(/[\uff01-\uffef\u3000]/g, (wide) => wide.normalize('NFKC'))
    .replace(/[\u02bc\u2018-\u201b]/g, "'")
    .replace(/[\u201c-\u201f]/g, '"')
    .replace(/\r\n|[\r\u2028\u2029\u0085]/g, '\n')
    .replace(control, '')
    .normalize('NFC');
}

/** True for text whose UTF-8 was read as Latin-1 or Windows-1252, such as `schÃ¶n` for `schön`. */
export const looksLikeMojibake = (text: string): boolean =>
  /[ÂÃ][\u0080-\u00bf]|â€[\u0080-\u00bf™œ\u009d“”¦]|Ã[€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]/u.test(text);

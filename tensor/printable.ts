/**
 * Characters that a terminal or a reader's eye would obey instead of showing: control characters except tab and line feed,
 * separators of lines, and those that change the direction of what follows.
 */
const obeyed = /(?![\t\n])[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/**
 * A text as it is safe to print: names and values from files may hold sequences that recolour, clear or retitle a terminal.
 * What it would obey becomes an escape of JSON, `\u001b`, so text that is JSON stays the same JSON.
 */
export const printable = (text: string): string =>
  text.replace(obeyed, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

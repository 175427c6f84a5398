/** A token of JSON, without the white space before it. */
const token =
  /(?:[{}[\],:]|"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy;
const whiteSpace = /[ \t\n\r]*/y;

/** The tokens allowed next. */
type Expected = 'value' | 'value or ]' | 'name' | 'name or }' | ':' | ', or end';

/**
 * The position at which a text stops being JSON: that of the first token that is not allowed, or the end of an incomplete
 * text. The messages of JavaScript engines differ, and not all give the position.
 */
export function whereJsonFails(text: string): number {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'value';
  let at = 0;
  for (;;) {
    whiteSpace.lastIndex = at;
    whiteSpace.test(text);
    at = token.lastIndex = whiteSpace.lastIndex;
    const [found = ''] = token.exec(text) ?? [];
    const next = afterToken(found, expected, open);
    if (next === undefined) return at;
    at += found.length;
    expected = next;
  }
}

/** The tokens allowed after a token, `undefined` if the token itself is not allowed; updates `open`. */
function afterToken(found: string, expected: Expected, open: ('{' | '[')[]): Expected | undefined {
  const end = (): Expected => {
    open.pop();
    return ', or end';
  };
  const inside = open.at(-1);
  if (expected === ':') return found === ':' ? 'value' : undefined;
  if (expected === ', or end') {
    if (found === ',' && inside !== undefined) return inside === '{' ? 'name' : 'value';
    return (found === '}' && inside === '{') || (found === ']' && inside === '[') ? end() : undefined;
  }
  if (expected === 'name' || expected === 'name or }') {
    if (found.startsWith('"')) return ':';
    return found === '}' && expected === 'name or }' ? end() : undefined;
  }
  if (found === '{' || found === '[') {
    open.push(found);
    return found === '{' ? 'name or }' : 'value or ]';
  }
  if (found === ']') return expected === 'value or ]' ? end() : undefined;
  return found === '' || '},:'.includes(found) ? undefined : ', or end';
}

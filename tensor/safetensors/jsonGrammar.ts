/** A token of JSON; white space goes before it. */
const token =
  /(?:[{}[\],:]|"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy;
const whiteSpace = /[ \t\n\r]*/y;

/** What may come next. */
type Expected = 'value' | 'value or ]' | 'name' | 'name or }' | ':' | ', or end';

/**
 * Where a text stops being JSON: the place of the first token that cannot be there, or the end of a text that ends too
 * early. What engines say of errors differs, and not all say where.
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

/** What may follow a token, or `undefined` where the token itself may not be there; keeps `open` up to date. */
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

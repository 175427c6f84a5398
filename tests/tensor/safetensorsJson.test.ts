import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../tensor/errors.ts';
import { parseJson } from '../../tensor/safetensors/json.ts';
import { whereJsonFails } from '../../tensor/safetensors/jsonGrammar.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('an error in JSON gives its position', () => {
  test.each([
    ['a value that is not there', '{"a": }', 1, 7],
    ['a comma too many, in another line', '{\n  "a": [1, 2],\n}', 3, 1],
    ['a comma too few', '{"a": 1\n "b": 2}', 2, 2],
    ['a number as Python has it', '{"a": 1,\r\n "b": NaN}', 2, 7],
    ['a number with a zero before it', '[1, 02]', 1, 6],
    ['quotes of another kind', "{'a': 1}", 1, 2],
    ['the wrong bracket', '{"a": [1}', 1, 9],
    ['a second value', '{}\n{}', 2, 1],
    ['a text that ends too early', '{"a": [1,\n', 2, 1],
    ['nothing', '', 1, 1],
  ])('%s', (_, text, line, column) => {
    const error = (() => {
      try {
        return parseJson(bytes(text), 'config.json');
      } catch (error) {
        return error;
      }
    })();
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toMatch(/^config\.json is not valid JSON: /);
    expect((error as Error).message.endsWith(` (line ${line}, column ${column})`)).toBe(true);
  });

  test('but not in very long texts', () => {
    const long = `{"${'n'.repeat(3e7)}": x}`;
    expect(() => parseJson(bytes(long), 'the header')).toThrow(/^the header is not valid JSON: [^\n]{1,200}$/);
  });

  test('the text before the position is the beginning of valid JSON', () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.nat(),
        fc.constantFrom('', '{', '}', '[', ']', ',', ':', '"', '0', '-', 'x', 'null'),
        fc.nat(2),
        (json, position, inserted, removed) => {
          const at = position % (json.length + 1);
          const text = json.slice(0, at) + inserted + json.slice(at + removed);
          fc.pre(!isJson(text));
          const place = whereJsonFails(text);
          const before = text.slice(0, place);
          // The text before the position is whole tokens, which some ending completes to JSON.
          expect(completions(before).some(isJson)).toBe(true);
          expect(place).toBeLessThanOrEqual(text.length);
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** The text with each possible ending: open brackets closed, after a value if one is missing. */
function completions(text: string): string[] {
  const open: string[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === '{') open.unshift('}');
    else if (token === '[') open.unshift(']');
    else if (token === '}' || token === ']') open.shift();
  }
  return ['', '0', ':0', '"":0', ',0'].map((middle) => text + middle + open.join(''));
}

import { printable } from 'diffusion-dpo/tensor';
import { expect, test } from 'vitest';

test.each([
  ['colours', '\x1b[31mred\x1b[0m', '\\u001b[31mred\\u001b[0m'],
  ['a title', '\x1b]0;mine\x07', '\\u001b]0;mine\\u0007'],
  [
    'sequences of one character that begins them in 8 bits',
    '\x9b31m \x9d0;mine\x9c',
    '\\u009b31m \\u009d0;mine\\u009c',
  ],
  ['what goes back', 'good\rbad \b\b', 'good\\u000dbad \\u0008\\u0008'],
  ['zero and delete', '\0 \x7f', '\\u0000 \\u007f'],
  ['what turns the direction', 'gnp.\u202eexe \u2066\u2069', 'gnp.\\u202eexe \\u2066\\u2069'],
  ['other ends of lines', 'a\u2028b\u2029c\u0085d\vx\fy', 'a\\u2028b\\u2029c\\u0085d\\u000bx\\u000cy'],
])('%s are shown and not obeyed', (_, text, shown) => {
  expect(printable(text)).toBe(shown);
});

test('what is only text stays: lines, tabs, letters of all scripts, joined emoji', () => {
  const text = 'a\tb\nc é 日本 עברית می‌خواهم 👩‍🚀 ½ \\u001b';
  expect(printable(text)).toBe(text);
});

test('JSON stays the same JSON', () => {
  const value = { name: 'a\x1b[2J\u009b\u202e\u2028\n', list: ['\x7f'] };
  const text = printable(JSON.stringify(value));
  expect(JSON.parse(text)).toEqual(value);
  expect(text).toMatch(/^[\x20-\x7e]*$/);
});

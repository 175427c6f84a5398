import { decodeLines, decodeText, FormatError, fromBytes, openSafetensors, parseJson } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const utf16 = (text: string, isBig = false): Uint8Array =>
  Uint8Array.from(
    [...text].flatMap((letter) => {
      const code = letter.charCodeAt(0);
      return isBig ? [code >> 8, code & 255] : [code & 255, code >> 8];
    }),
  );
const errorOf = (act: () => unknown): Error => {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  return new Error('nothing was thrown');
};

const pointer =
  'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 492265168\n';
const pages = ['<!DOCTYPE html>\n<html>', '\ufeff\r\n <html lang="en">', '<!doctype HTML public>', '<HEAD>'];

describe('text', () => {
  test('is UTF-8, with or without a byte order mark, which is dropped', () => {
    for (const text of ['', 'a', 'Mädchen 女の子 👧🏽', '\ufeff\ufeffa', 'a\ufeff', '\ufffd'])
      expect(decodeText(utf8(text), 'a')).toBe(text.replace(/^\ufeff/, ''));
  });

  test.each([
    [
      'Latin-1',
      latin1('a\ncafé au lait\n'),
      't is not valid UTF-8: line 2, byte 5 is 0xe9, which looks like Latin-1; save it as UTF-8',
    ],
    ['one line', latin1('café au lait'), 't is not valid UTF-8: byte 3 is 0xe9, which looks like Latin-1'],
    ['Windows-1252', latin1('a cat\x92s tail'), 'byte 5 is 0x92, which looks like Windows-1252'],
    [
      'a page of an eastern encoding',
      Uint8Array.of(0xc4, 0xe3, 0xba, 0xc3, 0xca, 0xc0),
      'byte 0 is 0xc4; save it as UTF-8',
    ],
    ['bytes behind valid characters', Uint8Array.of(...utf8('ä\n女👧\n'), 0x80, 0x20), 'line 3, byte 11 is 0x80'],
    ['half a surrogate pair', Uint8Array.of(0x61, 0xed, 0xa0, 0x80), 'byte 1 is 0xed'],
    ['a long form', Uint8Array.of(0x61, 0xc0, 0xaf), 'byte 1 is 0xc0'],
    [
      'an end within a character',
      utf8('a女').subarray(0, 3),
      'byte 1 begins a character that the text ends within; is it cut short?',
    ],
    [
      'a program',
      Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0xff),
      'byte 7 is 0xff, and there are control characters: this does not look like text',
    ],
    ['a zero', utf8('one\ntwo\0'), 't: line 2, byte 7 is zero, which no text holds'],
  ])('that is not is refused with the place: %s', (_, bytes, message) => {
    const error = errorOf(() => decodeText(bytes, 't'));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(message);
  });

  test('in UTF-16 and UTF-32 is refused by name', () => {
    const json = '{"caption": "a"}';
    expect(errorOf(() => decodeText(utf16(`\ufeff${json}`), 't')).message).toBe(
      't is not UTF-8 but UTF-16; save it as UTF-8',
    );
    expect(errorOf(() => decodeText(utf16(`\ufeff${json}`, true), 't')).message).toContain('but UTF-16');
    for (const isBig of [false, true])
      expect(errorOf(() => parseJson(utf16(json, isBig), 't')).message).toContain('but what looks like UTF-16');
    expect(errorOf(() => decodeText(Uint8Array.of(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0), 't')).message).toContain('UTF-32');
  });

  test('is cut into lines at LF and CRLF, and nowhere else', () => {
    expect(decodeLines(utf8('\ufeffa \r\n\n b\u2028c\r\nd'), 't')).toEqual(['a ', '', ' b\u2028c', 'd']);
    expect(decodeLines(utf8('a\n'), 't')).toEqual(['a']);
    expect(decodeLines(utf8(''), 't')).toEqual([]);
    for (const text of ['x\na\rb\r', 'x\na\rb\n', 'x\na\r\r\n'])
      expect(errorOf(() => decodeLines(utf8(text), 't')).message).toBe(
        't, line 2: holds a carriage return (CR); lines end with LF or CRLF',
      );
  });
});

describe('a substitute for a file that a failed download left is named', () => {
  const messageIn = async (text: string) =>
    [
      errorOf(() => decodeText(utf8(text), 'file')).message,
      errorOf(() => parseJson(utf8(text), 'file')).message,
      await openSafetensors(fromBytes(utf8(text), 'file')).catch((error: Error) => error.message),
    ] as const;

  test('a Git LFS pointer, whatever its lines end with', async () => {
    for (const text of [pointer, pointer.replaceAll('\n', '\r\n'), pointer.replace('git-lfs', 'hawser')])
      for (const message of await messageIn(text))
        expect(message).toMatch(
          /^file: this is a Git LFS pointer, which stands for the file of 492265168 bytes; run "git lfs pull"/,
        );
  });

  test('an HTML page, an XML document', async () => {
    for (const page of pages)
      for (const message of await messageIn(`${page}<title>Sign in</title>`))
        expect(message).toMatch(/^file: this is an HTML page/);
    for (const message of await messageIn('<?xml version="1.0"?>\n<Error>AccessDenied</Error>'))
      expect(message).toMatch(/^file: this is an XML document/);
  });

  test('but not a text that mentions them', () => {
    for (const text of ['version https://git-lfs.github.com', 'an <html> page', '<heading>', '<3'])
      expect(decodeText(utf8(text), 'file')).toBe(text);
  });
});

import { describe, expect, test } from 'vitest';
import { FormatError } from '../../tensor/errors.ts';
import { fromBlob, fromBytes, openSafetensors } from '../../tensor/safetensors/index.ts';
import { entry, fileOf, open, readWhole } from './safetensorsFixtures.ts';

const header = (items: Record<string, unknown>, dataSize = 0): Uint8Array =>
  fileOf(JSON.stringify(items), new Uint8Array(dataSize));

/** A file with one tensor whose entry has these fields instead of valid ones. */
const withFields = (fields: Record<string, unknown>, dataSize = 8): Uint8Array =>
  header({ w: { ...entry('F32', [2], 0, 8), ...fields } }, dataSize);

const good = JSON.stringify({ w: entry('F32', [2], 0, 8) });

const cases: [what: string, bytes: Uint8Array, message: string][] = [
  ['an empty file', new Uint8Array(0), '0 bytes are too few for a safetensors file, which starts with 8'],
  ['a file of seven bytes', new Uint8Array(7), '7 bytes are too few for a safetensors file, which starts with 8'],
  [
    'a header longer than the file',
    fileOf('{}', [], 3n),
    'the header is said to take 3 bytes, but only 2 follow; is the file complete?',
  ],
  [
    'a header of 100 MB and one byte',
    fileOf('{}', [], 100_000_001n),
    'the header is said to take 100000001 bytes, more than the 100000000 that the format allows',
  ],
  [
    'the longest header that can be said',
    fileOf('{}', [], 2n ** 64n - 1n),
    'the header is said to take 18446744073709551615 bytes, more than the 100000000 that the format allows',
  ],
  ['an empty header', fileOf(''), "the header does not start with '{'"],
  ['a header that starts with a space', fileOf(' {}'), "the header does not start with '{'"],
  ['a header that starts with a byte order mark', fileOf('\ufeff{}'), "the header does not start with '{'"],
  ['a list', fileOf('[]'), "the header does not start with '{'"],
  ['bytes that are not UTF-8', fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), 'the header is not valid UTF-8'],
  ['JSON that ends early', fileOf('{"w":'), 'the header is not valid JSON: '],
  ['two JSON values', fileOf('{}{}'), 'the header is not valid JSON: '],
  ['padding with zero bytes', fileOf('{}\0\0'), 'the header: byte 2 is zero, which no text holds'],
  [
    'a name that occurs twice',
    fileOf('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\\u0061" : {}}'),
    'the header holds the name "a" twice in one object',
  ],
  [
    'a field that occurs twice',
    fileOf('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"shape":[0]}}'),
    'the header holds the name "shape" twice in one object',
  ],
  [
    'metadata that occurs twice',
    fileOf('{"__metadata__":{},"__metadata__":{}}'),
    'the header holds the name "__metadata__" twice in one object',
  ],
  [
    '__proto__ twice',
    fileOf('{"__proto__":{},"__proto__":{}}'),
    'the header holds the name "__proto__" twice in one object',
  ],
  ['half a surrogate pair', fileOf('{"\\ud83d":{}}'), 'the header holds half a surrogate pair in the string "\\ud83d"'],
  ['an entry that is a list', header({ w: [1] }), 'tensor "w": the header holds [1], not an object'],
  ['an entry that is null', header({ w: null }), 'tensor "w": the header holds null, not an object'],
  ['an unknown dtype', withFields({ dtype: 'F31' }), 'tensor "w": unknown dtype "F31"; the dtypes are BOOL, F4, '],
  ['a dtype in lower case', withFields({ dtype: 'f32' }), 'tensor "w": unknown dtype "f32"'],
  ['a dtype that objects have', withFields({ dtype: 'constructor' }), 'tensor "w": unknown dtype "constructor"'],
  ['no dtype', withFields({ dtype: undefined }), 'tensor "w": unknown dtype nothing'],
  ['a negative size', withFields({ shape: [2, -1] }), 'tensor "w": [2, -1] is not a shape: a list of whole numbers'],
  [
    'a size of minus zero',
    fileOf('{"w":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'),
    'tensor "w": [0] is not a shape',
  ],
  ['a fractional size', withFields({ shape: [1.5] }), 'tensor "w": [1.5] is not a shape'],
  ['a size in quotes', withFields({ shape: ['2'] }), 'tensor "w": ["2"] is not a shape'],
  ['a size beyond whole numbers', withFields({ shape: [2 ** 53] }), 'tensor "w": [9007199254740992] is not a shape'],
  ['a shape that is a number', withFields({ shape: 2 }), 'tensor "w": 2 is not a shape'],
  ['a shape of shapes', withFields({ shape: [[2]] }), 'tensor "w": [[…]] is not a shape'],
  ['no shape', withFields({ shape: undefined }), 'tensor "w": nothing is not a shape'],
  [
    'a shape whose product overflows',
    withFields({ shape: [2 ** 32, 2 ** 32] }),
    'tensor "w": a shape of [4294967296, 4294967296] has more elements than can be counted',
  ],
  [
    'a shape whose product overflows to infinity, times 0',
    withFields({ shape: [...new Array<number>(21).fill(2 ** 50), 0], data_offsets: [0, 0] }, 0),
    'tensor "w": a shape of [1125899906842624, ',
  ],
  [
    'an odd number of half bytes',
    withFields({ dtype: 'F4', shape: [3], data_offsets: [0, 2] }, 2),
    'tensor "w": F4 [3] takes 12 bits, which is not a whole number of bytes',
  ],
  ['one offset', withFields({ data_offsets: [0] }), 'tensor "w": data_offsets is [0], not two whole numbers from 0'],
  [
    'three offsets',
    withFields({ data_offsets: [0, 8, 8] }),
    'tensor "w": data_offsets is [0, 8, 8], not two whole numbers',
  ],
  [
    'a negative offset',
    withFields({ data_offsets: [-8, 0] }),
    'tensor "w": data_offsets is [-8, 0], not two whole numbers',
  ],
  [
    'a fractional offset',
    withFields({ data_offsets: [0, 7.5] }),
    'tensor "w": data_offsets is [0, 7.5], not two whole numbers',
  ],
  ['no offsets', withFields({ data_offsets: undefined }), 'tensor "w": data_offsets is nothing, not two whole numbers'],
  ['offsets in reverse', withFields({ data_offsets: [8, 0] }), 'tensor "w": data_offsets [8, 0] end before they begin'],
  [
    'offsets beyond the file',
    withFields({ data_offsets: [0, 8] }, 7),
    'tensor "w": data_offsets [0, 8] go beyond the 7 bytes of data; is the file complete?',
  ],
  [
    'too few bytes for the shape',
    withFields({ shape: [3] }),
    'tensor "w": data_offsets [0, 8] hold 8 bytes, but F32 [3] takes 12',
  ],
  [
    'too many bytes for the dtype',
    withFields({ dtype: 'F16' }),
    'tensor "w": data_offsets [0, 8] hold 8 bytes, but F16 [2] takes 4',
  ],
  [
    'tensors that overlap',
    header({ a: entry('F32', [2], 0, 8), b: entry('F32', [1], 4, 8) }, 8),
    'tensor "b": its bytes 4 to 8 overlap those of tensor "a", which go up to 8',
  ],
  [
    'two tensors in one place',
    header({ a: entry('F32', [2], 0, 8), b: entry('F32', [2], 0, 8) }, 8),
    'tensor "b": its bytes 0 to 8 overlap those of tensor "a", which go up to 8',
  ],
  [
    'an empty tensor inside another',
    header({ a: entry('F32', [2], 0, 8), b: entry('F32', [0], 4, 4) }, 8),
    'tensor "b": its bytes 4 to 4 overlap those of tensor "a", which go up to 8',
  ],
  [
    'a hole between tensors',
    header({ a: entry('F32', [1], 0, 4), b: entry('F32', [1], 8, 12) }, 12),
    'tensor "b": its bytes start at 8, and those from 4 to there belong to no tensor',
  ],
  [
    'a hole before all tensors',
    withFields({ data_offsets: [1, 9] }, 9),
    'tensor "w": its bytes start at 1, and those from 0 to there belong to no tensor',
  ],
  [
    'bytes after all tensors',
    withFields({}, 11),
    'the tensors end at byte 8 of the data, but the data goes on to byte 11',
  ],
  ['data of no tensor', fileOf('{}', [1]), 'the tensors end at byte 0 of the data, but the data goes on to byte 1'],
  ['metadata that is null', header({ __metadata__: null }), '__metadata__ is null, not an object'],
  ['metadata that is a list', header({ __metadata__: ['a'] }), '__metadata__ is ["a"], not an object'],
  [
    'metadata that is not strings',
    header({ __metadata__: { a: 'b', step: 3 } }),
    '__metadata__ holds 3 under "step", not a string',
  ],
  [
    'metadata that is nested',
    header({ __metadata__: { a: { b: 'c' } } }),
    '__metadata__ holds an object under "a", not a string',
  ],
  ['a string that does not end', fileOf('{"w'), 'the header is not valid JSON: '],
  ['a string that ends in a backslash', fileOf('{"w\\'), 'the header is not valid JSON: '],
  [
    'deep nesting',
    fileOf(`{"a":${'['.repeat(128)}${']'.repeat(128)}}`),
    'the header is nested more than 128 levels deep',
  ],
  [
    'nesting just within bounds',
    fileOf(`{"a":${'['.repeat(127)}${']'.repeat(127)}}`),
    'tensor "a": the header holds [[…]], not an object',
  ],
];

describe('a file is refused for', () => {
  test.each(cases)('%s', async (_, bytes, message) => {
    const error: unknown = await open(bytes).catch((error) => error);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toContain(`model.safetensors: ${message}`);
    expect((error as Error).message.length).toBeLessThan(500);
  });
});

test('messages stay short, however long the names are', async () => {
  const error: unknown = await open(header({ ['n'.repeat(1_000_000)]: 0 })).catch((error) => error);
  expect((error as Error).message).toBe(
    `model.safetensors: tensor "${'n'.repeat(120)}…": the header holds 0, not an object`,
  );
});

test('messages name a source without a name by its format', async () => {
  await expect(openSafetensors(fromBytes(new Uint8Array(3)))).rejects.toThrow('safetensors: 3 bytes are too few');
});

describe('values', () => {
  const i64 = (...values: bigint[]) => new Uint8Array(BigInt64Array.from(values).buffer);

  test.each([2147483648n, -2147483649n, 4294967295n, 2n ** 63n - 1n, -(2n ** 63n)])(
    'of I64 that do not fit i32 are refused: %s',
    async (value) => {
      const bytes = fileOf(JSON.stringify({ ids: entry('I64', [2], 0, 16) }), i64(5n, value));
      await expect(readWhole(bytes)).rejects.toThrow(
        `model.safetensors: tensor "ids": element 1 is ${value}; I64 is read as i32, which goes from -2147483648 to 2147483647`,
      );
    },
  );

  test('of BOOL that are neither 0 nor 1 are refused', async () => {
    const bytes = fileOf(JSON.stringify({ mask: entry('BOOL', [3], 0, 3) }), [1, 0, 2]);
    await expect(readWhole(bytes)).rejects.toThrow(
      'model.safetensors: tensor "mask": element 2 is 2, but a BOOL element is 0 or 1',
    );
  });

  const unsupported: [string, number][] = [
    ['I8', 8],
    ['I16', 16],
    ['U16', 16],
    ['U64', 64],
    ['C64', 64],
    ['F4', 4],
    ['F6_E2M3', 6],
    ['F6_E3M2', 6],
    ['F8_E4M3', 8],
    ['F8_E5M2', 8],
    ['F8_E8M0', 8],
    ['F8_E4M3FNUZ', 8],
    ['F8_E5M2FNUZ', 8],
  ];
  test.each(unsupported)('of dtype %s can be listed, and the other tensors read', async (dtype, bits) => {
    const size = bits / 2;
    const items = { odd: entry(dtype, [2, 2], 0, size), fine: entry('U8', [1], size, size + 1) };
    const file = await open(header(items, size + 1));
    expect(file.entries.get('odd')).toEqual({ dtype, shape: [2, 2], offset: expect.any(Number), byteLength: size });
    expect((await file.read('fine')).dtype).toBe('u32');
    const refusal =
      `model.safetensors: tensor "odd": the dtype ${dtype} is not supported; ` +
      'the supported dtypes are BOOL, U8, F16, BF16, I32, U32, F32, F64, I64';
    await expect(file.read('odd')).rejects.toThrow(new FormatError(refusal));
  });
});

test('a source that ends early after it was opened is reported', async () => {
  const bytes = fileOf(good, new Uint8Array(8));
  const inner = fromBytes(bytes, 'model.safetensors');
  let end = bytes.length;
  const file = await openSafetensors({
    ...inner,
    read: async (offset, length) => bytes.subarray(offset, Math.min(offset + length, end)),
  });
  end = bytes.length - 5;
  await expect(file.read('w')).rejects.toThrow(
    `model.safetensors: tensor "w" takes 8 bytes from offset ${bytes.length - 8}, but only 3 could be read; ` +
      'was the file cut short after it was opened?',
  );
});

test('a blob that can no longer be read is reported', async () => {
  const blob = new File([new Uint8Array(16)], 'chosen.safetensors');
  Object.defineProperty(blob, 'slice', {
    value: () => ({ arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')) }),
  });
  await expect(openSafetensors(fromBlob(blob))).rejects.toThrow(
    'chosen.safetensors: could not read 8 bytes from offset 0; has the file been changed or removed since it was chosen?',
  );
});

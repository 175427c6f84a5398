import { describe, expect, test } from 'vitest';
import { dispose, read, readStorage } from '../../tensor/evaluate.ts';
import { neg } from '../../tensor/ops/elementwise.ts';
import {
  fromBlob,
  openSafetensors,
  type StoredDType,
  storedDtype,
  toSafetensorsBytes,
  writeSafetensors,
} from '../../tensor/safetensors/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { counting, entry, f32, fileOf, fromHex, make, open, readWhole } from './safetensorsFixtures.ts';

/**
 * A file with every supported dtype, byte for byte as version 0.8.0 of the format's reference implementation writes
 * it for tensors given in another order.
 */
const referenceFile = fileOf(
  '{"__metadata__":{"format":"pt"},"steps":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},' +
    '"double":{"dtype":"F64","shape":[1],"data_offsets":[16,24]},"bias":{"dtype":"F32","shape":[],"data_offsets":[24,28]},' +
    '"weight":{"dtype":"F32","shape":[2,2],"data_offsets":[28,44]},"seed":{"dtype":"U32","shape":[1],"data_offsets":[44,48]},' +
    '"ids":{"dtype":"I32","shape":[1],"data_offsets":[48,52]},"brain":{"dtype":"BF16","shape":[1],"data_offsets":[52,54]},' +
    '"half":{"dtype":"F16","shape":[1],"data_offsets":[54,56]},"empty":{"dtype":"U8","shape":[0,4],"data_offsets":[56,56]},' +
    '"image":{"dtype":"U8","shape":[3],"data_offsets":[56,59]},"mask":{"dtype":"BOOL","shape":[2],"data_offsets":[59,61]},' +
    '"\uffee":{"dtype":"BOOL","shape":[1],"data_offsets":[61,62]},"\u{1f600}":{"dtype":"BOOL","shape":[1],"data_offsets":[62,63]}}' +
    '    ',
  fromHex(
    'ffffffffffffffffe7030000000000009a9999999999b93f000040400000803f000000c00000003f' +
      '0000807ffffffffff9ffffffc17f017e0080ff01000100',
  ),
);

describe('reading', () => {
  test('gives the values, shapes and dtypes of known bytes', async () => {
    const file = await open(referenceFile);
    expect(file.metadata).toEqual(new Map([['format', 'pt']]));
    expect(file.names).toHaveLength(13);
    const tensors = await file.readAll();
    const found = await Promise.all(
      [...tensors].map(async ([name, t]) => [name, t.dtype, t.shape, Array.from(await readStorage(t)), storedDtype(t)]),
    );
    expect(found).toEqual([
      ['steps', 'i32', [2], [-1, 999], 'I64'],
      ['double', 'f64', [1], [0.1], 'F64'],
      ['bias', 'f32', [], [3], 'F32'],
      ['weight', 'f32', [2, 2], [1, -2, 0.5, Number.POSITIVE_INFINITY], 'F32'],
      ['seed', 'u32', [1], [4294967295], 'U32'],
      ['ids', 'i32', [1], [-7], 'I32'],
      ['brain', 'bf16', [1], [0x7fc1], 'BF16'],
      ['half', 'f16', [1], [0x7e01], 'F16'],
      ['empty', 'u32', [0, 4], [], 'U8'],
      ['image', 'u32', [3], [0, 128, 255], 'U8'],
      ['mask', 'bool', [2], [1, 0], 'BOOL'],
      ['\uffee', 'bool', [1], [1], 'BOOL'],
      ['\u{1f600}', 'bool', [1], [0], 'BOOL'],
    ]);
  });

  test('describes tensors without reading them', async () => {
    const { source, reads } = counting(referenceFile);
    const file = await openSafetensors(source);
    expect(file.entries.get('weight')).toEqual({ dtype: 'F32', shape: [2, 2], offset: 808 + 28, byteLength: 16 });
    expect(await file.entry('empty')).toEqual({ dtype: 'U8', shape: [0, 4], offset: 808 + 56, byteLength: 0 });
    expect(reads).toEqual([
      [0, 8],
      [8, 800],
    ]);
  });

  test('of one tensor reads its bytes and no others', async () => {
    const { source, reads } = counting(referenceFile);
    const file = await openSafetensors(source);
    reads.length = 0;
    expect(await read(await file.read('weight'))).toEqual(Float32Array.of(1, -2, 0.5, Number.POSITIVE_INFINITY));
    expect(reads).toEqual([[808 + 28, 16]]);
  });

  test('gives tensors that do not share memory with the source', async () => {
    const bytes = referenceFile.slice();
    const tensors = await readWhole(bytes);
    bytes.fill(0xaa);
    expect(await readStorage(tensors.get('weight') as Tensor)).toEqual(
      Float32Array.of(1, -2, 0.5, Number.POSITIVE_INFINITY),
    );
    expect(await readStorage(tensors.get('mask') as Tensor)).toEqual(Uint8Array.of(1, 0));
  });

  test('works on blobs, which have a name if they are files', async () => {
    const file = await openSafetensors(fromBlob(new Blob([new Uint8Array(referenceFile)])));
    expect(await readStorage(await file.read('ids'))).toEqual(Int32Array.of(-7));
    await expect(openSafetensors(fromBlob(new File(['short'], 'tiny.safetensors')))).rejects.toThrow(
      'tiny.safetensors: 5 bytes are too few for a safetensors file, which starts with 8',
    );
  });

  test('accepts tensors in any order, and white space before the data', async () => {
    const header = { b: entry('F32', [1], 0, 4), a: entry('I64', [1], 4, 12) };
    const tensors = await readWhole(
      fileOf(`${JSON.stringify(header, null, 2)}\n  `, [0, 0, 128, 63, 5, 0, 0, 0, 0, 0, 0, 0]),
    );
    expect([...tensors.keys()]).toEqual(['b', 'a']);
    expect(await readStorage(tensors.get('b') as Tensor)).toEqual(Float32Array.of(1));
    expect(await readStorage(tensors.get('a') as Tensor)).toEqual(Int32Array.of(5));
  });

  test('reads tensors with names such as __proto__', async () => {
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'then', ''];
    const bytes = await toSafetensorsBytes(names.map((name, i) => [name, f32(i)] as const));
    const tensors = await readWhole(bytes);
    for (const [i, name] of names.entries()) {
      expect(await read(tensors.get(name) as Tensor), name).toEqual(Float32Array.of(i));
    }
    await expect((await open(bytes)).read('valueOf')).rejects.toThrow('tensor "valueOf" is not there, among 6 tensors');
  });

  test('of an unknown name suggests the nearest ones', async () => {
    const file = await open(
      await toSafetensorsBytes({ 'conv_in.weight': f32(1), 'conv_in.bias': f32(1), norm: f32(1) }),
    );
    await expect(file.read('conv_in.weigth')).rejects.toThrow(
      'model.safetensors: tensor "conv_in.weigth" is not there, among 3 tensors; did you mean "conv_in.weight"?',
    );
    await expect(file.read('norms')).rejects.toThrow(/; did you mean "norm"\?$/);
    await expect(file.read('nrm')).rejects.toThrow(/; did you mean "norm"\?$/);
    await expect(file.entry('decoder')).rejects.toThrow(/among 3 tensors$/);
  });
});

describe('writing', () => {
  test('gives the bytes of the reference implementation, whatever the order of the arguments', async () => {
    const file = await open(referenceFile);
    const tensors = await file.readAll();
    expect(await toSafetensorsBytes(tensors, { metadata: file.metadata })).toEqual(referenceFile);
    expect(await toSafetensorsBytes([...tensors].reverse(), { metadata: { format: 'pt' } })).toEqual(referenceFile);
  });

  test('escapes names as the reference implementation does', async () => {
    const bytes = await toSafetensorsBytes({ '\u0001"\\\n\t\x7f/\u2028é': make('f32', new Float32Array(0), [0]) });
    const json = new TextDecoder().decode(bytes.subarray(8)).trimEnd();
    expect(json).toBe('{"\\u0001\\"\\\\\\n\\t\x7f/\u2028é":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}');
    expect([...(await readWhole(bytes)).keys()]).toEqual(['\u0001"\\\n\t\x7f/\u2028é']);
  });

  test('no tensors makes an empty file', async () => {
    expect(await toSafetensorsBytes({})).toEqual(fileOf('{}      '));
    expect((await open(fileOf('{}      '))).names).toEqual([]);
  });

  test('keeps metadata, sorted by name', async () => {
    const metadata = new Map([
      ['b', 'é"'],
      ['7', ''],
      ['__proto__', 'x'],
    ]);
    const bytes = await toSafetensorsBytes({}, { metadata });
    expect(bytes).toEqual(fileOf(`{"__metadata__":{"7":"","__proto__":"x","b":"é\\""}}    `));
    const file = await open(bytes);
    expect(file.metadata).toEqual(metadata);
    expect(await toSafetensorsBytes({}, { metadata: file.metadata })).toEqual(bytes);
  });

  test('computes pending tensors', async () => {
    const steps = (await readWhole(referenceFile)).get('steps') as Tensor;
    const computed = neg(steps);
    expect(storedDtype(computed)).toBe('I32');
    const written = (await readWhole(await toSafetensorsBytes({ computed }))).get('computed') as Tensor;
    expect(await readStorage(written)).toEqual(Int32Array.of(1, -999));
  });

  test('uses the given dtypes', async () => {
    const x = make('i32', Int32Array.of(-2147483648, -1, 0, 2147483647));
    const image = make('u32', Uint32Array.of(0, 255));
    const bytes = await toSafetensorsBytes({ x, image, y: x }, { dtypes: { x: 'I64', image: 'U8' } });
    const file = await open(bytes);
    expect([...file.entries].map(([name, { dtype, byteLength }]) => [name, dtype, byteLength])).toEqual([
      ['x', 'I64', 32],
      ['y', 'I32', 16],
      ['image', 'U8', 2],
    ]);
    expect(new BigInt64Array(bytes.slice(-50, -18).buffer)).toEqual(
      BigInt64Array.of(-2147483648n, -1n, 0n, 2147483647n),
    );
    expect(await readStorage(await file.read('x'))).toEqual(Int32Array.of(-2147483648, -1, 0, 2147483647));
    expect(await readStorage(await file.read('image'))).toEqual(Uint32Array.of(0, 255));
  });

  test('passes tensors to the sink one by one', async () => {
    const lengths: number[] = [];
    const sink = { write: async (bytes: Uint8Array) => void lengths.push(bytes.length) };
    await writeSafetensors(sink, { a: f32(1, 2), b: f32(1, 2, 3) });
    expect(lengths).toEqual([8 + 112, 8, 12]);
  });

  const half = '\ud83d';
  const refusals: [string, () => Promise<unknown>, string][] = [
    [
      'a value that does not fit U8',
      () => toSafetensorsBytes({ image: make('u32', Uint32Array.of(3, 256)) }, { dtypes: { image: 'U8' } }),
      'safetensors: tensor "image": element 1 is 256, which does not fit U8; write it as U32',
    ],
    [
      'a dtype that another would have to be cast to',
      () => toSafetensorsBytes({ w: f32(1) }, { dtypes: { w: 'F16' } }),
      'safetensors: tensor "w": f32 cannot be written as F16; cast it first',
    ],
    [
      'a dtype that no tensor here has',
      () => toSafetensorsBytes({ w: f32(1) }, { dtypes: { w: 'I16' } }),
      'safetensors: tensor "w": the dtype I16 is not supported',
    ],
    [
      'a dtype that does not exist',
      () => toSafetensorsBytes({ w: f32(1) }, { dtypes: { w: 'f32' as StoredDType } }),
      'safetensors: tensor "w": f32 cannot be written as f32',
    ],
    [
      'a dtype for no tensor',
      () => toSafetensorsBytes({ w: f32(1) }, { dtypes: { v: 'F32' } }),
      'safetensors: dtypes names "v", but there is no such tensor',
    ],
    [
      'the name of the metadata',
      () => toSafetensorsBytes({ __metadata__: f32(1) }),
      'safetensors: tensor "__metadata__": that name is reserved; choose another',
    ],
    [
      'a name that occurs twice',
      () => toSafetensorsBytes([['w', f32(1)] as const, ['w', f32(2)] as const]),
      'safetensors: the name "w" occurs twice in tensors',
    ],
    [
      'a name that is not text',
      () => toSafetensorsBytes({ [half]: f32(1) }),
      'safetensors: "\\ud83d" holds half a surrogate pair, which no file can hold',
    ],
    [
      'metadata that is not text',
      () => toSafetensorsBytes({}, { metadata: { note: half } }),
      'safetensors: "\\ud83d" holds half a surrogate pair',
    ],
    [
      'metadata that is not a string',
      () => toSafetensorsBytes({}, { metadata: { steps: 3 as unknown as string } }),
      'safetensors: the metadata "steps" is 3, which is not a string',
    ],
    [
      'a tree',
      () => toSafetensorsBytes({ layer: { weight: f32(1) } as unknown as Tensor }),
      'safetensors: tensor "layer": its value is not a tensor; `flattenTree` lists the tensors of a tree',
    ],
  ];
  test.each(refusals)('refuses %s', async (_, write, message) => {
    await expect(write()).rejects.toThrow(message);
  });

  test('refuses a disposed tensor before it writes anything', async () => {
    const gone = f32(1);
    dispose(gone);
    const written: number[] = [];
    const sink = { write: async (bytes: Uint8Array) => void written.push(bytes.length) };
    await expect(writeSafetensors(sink, { a: f32(1), gone })).rejects.toThrow(
      /tensor "gone": .* can no longer be used/,
    );
    expect(written).toEqual([]);
  });
});

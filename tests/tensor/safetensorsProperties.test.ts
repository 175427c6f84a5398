import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocate, byteSize, type DType, dtypes } from '../../tensor/dtype.ts';
import { FormatError } from '../../tensor/errors.ts';
import { type StoredDType, storedDtype, toSafetensorsBytes } from '../../tensor/safetensors/index.ts';
import { sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { bytesOf, entry, fileOf, make, open } from './safetensorsFixtures.ts';

const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 4 });

/** Tensors of random bit patterns, NaNs with payloads among them. */
const tensors: fc.Arbitrary<Tensor> = fc.tuple(fc.constantFrom(...dtypes), shapes).chain(([dtype, shape]) => {
  const length = sizeOf(shape) * byteSize[dtype];
  const byte = dtype === 'bool' ? fc.nat({ max: 1 }) : fc.nat({ max: 255 });
  return fc.array(byte, { minLength: length, maxLength: length }).map((bytes) => fromBytes(dtype, shape, bytes));
});

function fromBytes(dtype: DType, shape: readonly number[], bytes: readonly number[]): Tensor {
  const storage = allocate(dtype, sizeOf(shape));
  new Uint8Array(storage.buffer).set(bytes);
  return make(dtype, storage, shape);
}

const names = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', 'constructor', '0', '10', '2', 'a.b.weight', '\uffee', '\u{1f600}'),
);
const named = fc.dictionary(names, tensors, { maxKeys: 6 }).map((record) => new Map(Object.entries(record)));
const metadata = fc
  .dictionary(names, fc.string({ unit: 'binary' }), { maxKeys: 3 })
  .map((record) => new Map(Object.entries(record)));

test('tensors and metadata come back bit for bit, and are written as the same bytes again', async () => {
  await fc.assert(
    fc.asyncProperty(named, metadata, async (originals, about) => {
      const bytes = await toSafetensorsBytes(originals, { metadata: about });
      const file = await open(bytes);
      expect(file.metadata).toEqual(about);
      const found = await file.readAll();
      expect(new Set(found.keys())).toEqual(new Set(originals.keys()));
      for (const [name, original] of originals) {
        const tensor = found.get(name) as Tensor;
        expect([tensor.dtype, tensor.shape]).toEqual([original.dtype, original.shape]);
        expect(await bytesOf(tensor)).toEqual(await bytesOf(original));
      }
      expect(await toSafetensorsBytes(found, { metadata: file.metadata })).toEqual(bytes);
    }),
    { numRuns: 150 },
  );
});

test('every half comes back with its bits', async () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const file = await open(await toSafetensorsBytes({ f: make('f16', bits), b: make('bf16', bits) }));
  for (const name of file.names) expect(await bytesOf(await file.read(name))).toEqual(new Uint8Array(bits.buffer));
});

test('I64 and U8 are read as the numbers they hold, and written back as the same bytes', async () => {
  const wide = fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { maxLength: 9 });
  await fc.assert(
    fc.asyncProperty(wide, fc.uint8Array({ maxLength: 9 }), async (ids, image) => {
      const data = new Uint8Array(BigInt64Array.from(ids, BigInt).buffer);
      const header = {
        ids: entry('I64', [ids.length], 0, data.length),
        image: entry('U8', [image.length], data.length, data.length + image.length),
      };
      const json = JSON.stringify(header);
      const bytes = fileOf(json.padEnd(Math.ceil(json.length / 8) * 8), [...data, ...image]);
      const found = await (await open(bytes)).readAll();
      expect(await bytesOf(found.get('ids') as Tensor)).toEqual(new Uint8Array(Int32Array.from(ids).buffer));
      expect(await bytesOf(found.get('image') as Tensor)).toEqual(new Uint8Array(Uint32Array.from(image).buffer));
      expect([...found.values()].map(storedDtype)).toEqual(['I64', 'U8']);
      expect(await toSafetensorsBytes(found)).toEqual(bytes);
    }),
  );
});

/** Reads arbitrary bytes as a file; the only error allowed is a FormatError. */
async function opensOrRefuses(bytes: Uint8Array): Promise<'opened' | 'refused'> {
  try {
    const file = await open(bytes);
    for (const name of file.names) {
      const { byteLength } = await file.entry(name);
      expect(byteLength).toBeLessThanOrEqual(bytes.length);
      await file.read(name);
    }
    return 'opened';
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return 'refused';
  }
}

const validFile = () =>
  toSafetensorsBytes(
    {
      'layer.0.weight': make('f32', Float32Array.of(1, 2, 3, 4), [2, 2]),
      'layer.0.bias': make('f16', Uint16Array.of(0x3c00, 0x7e01)),
      ids: make('i32', Int32Array.of(1, -2)),
      mask: make('bool', Uint8Array.of(0, 1, 1)),
      image: make('u32', Uint32Array.of(7)),
    },
    { metadata: { format: 'pt' }, dtypes: { ids: 'I64', image: 'U8' } },
  );

type Edit = (bytes: number[]) => number[];

const edit: fc.Arbitrary<Edit> = fc
  .tuple(fc.nat(), fc.nat({ max: 255 }), fc.nat({ max: 3 }))
  .map(([place, byte, kind]) => {
    return (bytes: number[]) => {
      const at = place % (bytes.length + 1);
      if (kind === 0) return bytes.with(Math.min(at, bytes.length - 1), byte);
      if (kind === 1) return bytes.toSpliced(at, 0, byte);
      if (kind === 2) return bytes.toSpliced(at, 1);
      return bytes.slice(0, at);
    };
  });

test('a damaged file is read or refused with a FormatError', async () => {
  const valid = Array.from(await validFile());
  const outcomes = { opened: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const bytes = edits.reduce((damaged, apply) => (damaged.length === 0 ? damaged : apply(damaged)), valid);
      outcomes[await opensOrRefuses(Uint8Array.from(bytes))]++;
    }),
    { numRuns: 2000 },
  );
  expect(outcomes.refused).toBeGreaterThan(1000);
});

test('a file that ends early is always refused', async () => {
  const valid = await validFile();
  for (let length = 0; length < valid.length; length++) {
    expect(await opensOrRefuses(valid.subarray(0, length)), `${length} bytes`).toBe('refused');
  }
  expect(await opensOrRefuses(valid)).toBe('opened');
});

/** Values close to those of a header. */
const counts = fc.oneof(fc.nat({ max: 16 }), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 53, 1e300, null, '4'));
const nearEntry = fc.record(
  {
    dtype: fc.oneof(fc.constantFrom<StoredDType>('F32', 'F16', 'I64', 'U8', 'BOOL', 'F4', 'F8_E4M3'), fc.jsonValue()),
    shape: fc.oneof(fc.array(counts, { maxLength: 3 }), fc.jsonValue()),
    data_offsets: fc.oneof(fc.tuple(counts, counts), fc.jsonValue()),
    extra: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const nearHeader = fc.dictionary(
  fc.oneof(names, fc.constant('__metadata__')),
  fc.oneof({ weight: 4, arbitrary: nearEntry }, fc.jsonValue(), fc.dictionary(names, names)),
  { maxKeys: 3 },
);

test('a header of any JSON is read or refused with a FormatError', async () => {
  const headers = fc.oneof(nearHeader, fc.jsonValue()).map((value) => JSON.stringify(value));
  const data = fc.uint8Array({ maxLength: 16 });
  await fc.assert(
    fc.asyncProperty(headers, data, async (header, data) => void (await opensOrRefuses(fileOf(header, data)))),
    { numRuns: 2000 },
  );
});

test('any bytes are read or refused with a FormatError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), fc.boolean(), async (bytes, asHeader) => {
      await opensOrRefuses(asHeader ? fileOf(bytes) : bytes);
    }),
    { numRuns: 1000 },
  );
});

test('a duplicate name is found in any place and with any escapes', async () => {
  const escaped = (text: string) =>
    `"${Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
  const space = fc.constantFrom('', ' ', '\n\t ');
  const entries = fc.dictionary(names, fc.constant(entry('F32', [0], 0, 0)), { minKeys: 1, maxKeys: 5 });
  await fc.assert(
    fc.asyncProperty(entries, fc.nat(), space, fc.boolean(), async (record, which, gap, asEscapes) => {
      const keys = Object.keys(record);
      const twice = keys[which % keys.length] as string;
      const again = `${asEscapes ? escaped(twice) : JSON.stringify(twice)}${gap}:{}`;
      const single = JSON.stringify(record);
      expect(await opensOrRefuses(fileOf(single))).toBe('opened');
      await expect(open(fileOf(`${single.slice(0, -1)},${again}}`))).rejects.toThrow('twice in one object');
    }),
  );
});

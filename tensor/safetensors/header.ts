import { FormatError } from '../errors.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { otherWeightsIn, refuseSubstitute } from './foreign.ts';
import { objectEntries, parseJson } from './json.ts';
import { quote, show } from './message.ts';
import { nameOf, type RandomAccess, readExactly, whereIs } from './source.ts';
import { bitSize, isStoredDType, type StoredDType, storedDtypes } from './storedDtype.ts';

/** The entry of one tensor in a header. */
export interface TensorEntry {
  readonly dtype: StoredDType;
  readonly shape: Shape;
  /** The position of its first byte in the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** The checked header of a file. */
export interface Header {
  /** By name, in the order of their bytes in the file. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The format's limit in bytes, which protects readers from headers that would exhaust memory. */
export const longestHeader = 100_000_000;

/** The size of the header's length, a little-endian u64 at the start of the file. */
const lengthBytes = 8;

/** The name in the header that holds strings about the file instead of a tensor. */
export const metadataName = '__metadata__';

/**
 * Reads and checks a header. As the format demands, names must be distinct, and the tensors must cover the rest of the
 * file without holes or overlaps.
 * @throws FormatError that names the tensor and the wrong values
 */
export async function readHeader(source: RandomAccess): Promise<Header> {
  const file = nameOf(source);
  const length = await readLength(source, file);
  const bytes = await readExactly(source, lengthBytes, length, 'the header');
  if (bytes[0] !== '{'.charCodeAt(0)) throw new FormatError(`${file}: the header does not start with '{'`);
  const items = objectEntries(parseJson(bytes, `${file}: the header`));
  if (items === undefined) throw new FormatError(`${file}: the header is not a JSON object`);

  const dataStart = lengthBytes + length;
  const dataSize = source.size - dataStart;
  const tensors = [...items].filter(([name]) => name !== metadataName);
  const ranges = tensors.map(([name, item]) => parseEntry(name, item, dataSize, file));
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCoverage(ranges, dataSize, file);
  return {
    entries: new Map(
      ranges.map(({ name, dtype, shape, begin, end }) => [
        name,
        Object.freeze({ dtype, shape, offset: dataStart + begin, byteLength: end - begin }),
      ]),
    ),
    metadata: parseMetadata(items.get(metadataName), file),
  };
}

async function readLength(source: RandomAccess, file: string): Promise<number> {
  if (source.size < lengthBytes) {
    throw new FormatError(`${file}: ${source.size} bytes are too few for a safetensors file, which starts with 8`);
  }
  const bytes = await readExactly(source, 0, lengthBytes, 'the length of the header');
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  const rest = source.size - lengthBytes;
  if (length > longestHeader || length > rest) {
    const start = await source.read(0, Math.min(source.size, 1024));
    refuseSubstitute(start, file);
    const other = otherWeightsIn(start);
    if (other !== undefined) throw new FormatError(`${file}: this is ${other}`);
  }
  if (length > longestHeader) {
    throw new FormatError(
      `${file}: the header is said to take ${length} bytes, more than the ${longestHeader} that the format allows; ` +
        'is this a safetensors file?',
    );
  }
  if (length > rest) {
    throw new FormatError(
      `${file}: the header is said to take ${length} bytes, but only ${rest} follow; is the file complete?`,
    );
  }
  return Number(length);
}

/** A tensor and the range of its bytes, counted from the end of the header. */
interface TensorRange {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);

function parseEntry(name: string, item: unknown, dataSize: number, file: string): TensorRange {
  const wrong = (message: string) => new FormatError(`${whereIs(file, name)}: ${message}`);
  const fields = objectEntries(item);
  if (fields === undefined) throw wrong(`the header holds ${show(item)}, not an object`);

  const dtype = fields.get('dtype');
  if (!isStoredDType(dtype)) throw wrong(`unknown dtype ${show(dtype)}; the dtypes are ${storedDtypes.join(', ')}`);

  const shape = fields.get('shape');
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw wrong(`${show(shape)} is not a shape: a list of whole numbers from 0 to 2^53 - 1`);
  }
  const bits = sizeOf(shape) * bitSize[dtype];
  if (!Number.isSafeInteger(bits)) throw wrong(`a shape of ${show(shape)} has more elements than can be counted`);
  if (bits % 8 !== 0) throw wrong(`${dtype} ${show(shape)} takes ${bits} bits, which is not a whole number of bytes`);

  const offsets = fields.get('data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw wrong(`data_offsets is ${show(offsets)}, not two whole numbers from 0`);
  }
  const [begin, end] = offsets as [number, number];
  const range = `data_offsets [${begin}, ${end}]`;
  if (begin > end) throw wrong(`${range} end before they begin`);
  if (end > dataSize) throw wrong(`${range} go beyond the ${dataSize} bytes of data; is the file complete?`);
  if (end - begin !== bits / 8) {
    throw wrong(`${range} hold ${end - begin} bytes, but ${dtype} ${show(shape)} takes ${bits / 8}`);
  }
  return { name, dtype, shape: Object.freeze(shape as number[]), begin, end };
}

/** Checks that the ranges, in ascending order, cover 0 to `dataSize` without holes or overlaps. */
function checkCoverage(ranges: readonly TensorRange[], dataSize: number, file: string): void {
  let covered = 0;
  let previous = '';
  for (const { name, begin, end } of ranges) {
    if (begin < covered) {
      throw new FormatError(
        `${whereIs(file, name)}: its bytes ${begin} to ${end} overlap those of tensor ${quote(previous)}, ` +
          `which go up to ${covered}`,
      );
    }
    if (begin > covered) {
      throw new FormatError(
        `${whereIs(file, name)}: its bytes start at ${begin}, and those from ${covered} to there belong to no tensor`,
      );
    }
    covered = end;
    previous = name;
  }
  if (covered < dataSize) {
    throw new FormatError(
      `${file}: the tensors end at byte ${covered} of the data, but the data goes on to byte ${dataSize}`,
    );
  }
}

function parseMetadata(item: unknown, file: string): ReadonlyMap<string, string> {
  if (item === undefined) return new Map();
  const entries = objectEntries(item);
  if (entries === undefined) throw new FormatError(`${file}: ${metadataName} is ${show(item)}, not an object`);
  for (const [key, value] of entries) {
    if (typeof value !== 'string') {
      throw new FormatError(`${file}: ${metadataName} holds ${show(value)} under ${quote(key)}, not a string`);
    }
  }
  return entries as ReadonlyMap<string, string>;
}

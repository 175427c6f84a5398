import { FormatError, TensorError } from '../errors.ts';
import { readStorage } from '../evaluate.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { checkUsable, Tensor } from '../tensor.ts';
import { codecFor } from './codec.ts';
import { longestHeader, metadataName } from './header.ts';
import { quote } from './message.ts';
import type { SafetensorsFile } from './reader.ts';
import type { ByteSink } from './source.ts';
import { bitSize, isStoredDType, type StoredDType, storedDtype, storedDtypes } from './storedDtype.ts';

/** Named values: an object, a map, or any iterable of pairs. */
export type Named<T> = Readonly<Record<string, T>> | Iterable<readonly [string, T]>;

/** Options of `writeSafetensors`. */
export interface WriteOptions {
  /** Strings about the file, written as `__metadata__`. */
  readonly metadata?: Named<string>;
  /** Stored dtypes by name of tensor; default `storedDtype`. `i32` can be written as I64, `u32` as U8. */
  readonly dtypes?: Named<StoredDType>;
}

/**
 * Writes a safetensors file: first the header, then one tensor after the other, so that memory holds one at a time.
 * Tensors are ordered by dtype, widest first, then by name, as in the format's reference implementation.
 * @throws FormatError for a name or dtype that cannot be written, and for a value above 255 in a tensor written as U8
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: Named<Tensor>,
  options: WriteOptions = {},
): Promise<void> {
  const planned = plan(tensors, options.dtypes ?? {});
  await sink.write(encodeHeader(planned, options.metadata ?? {}));
  for (const { where, tensor, dtype } of planned) {
    await sink.write(codecFor(dtype, where).encode(await readStorage(tensor), where));
  }
}

/**
 * Writes the tensors of several files as one file, byte by byte and in the order of `writeSafetensors`, so that memory holds a piece of
 * one at a time.
 * @throws FormatError for a name that two files have
 */
export async function joinSafetensors(
  sink: ByteSink,
  files: readonly SafetensorsFile[],
  metadata: Named<string> = {},
): Promise<void> {
  const all = files.flatMap((file) =>
    [...file.entries].map(([name, entry]) => [name, { name, ...entry, file }] as const),
  );
  const sorted = inOrder([...toMap(all, 'the files').values()]);
  await sink.write(encodeHeader(sorted, metadata));
  for (const { name, file } of sorted) await file.copy(name, sink);
}

/** Writes a safetensors file to memory; see `writeSafetensors`. */
export async function toSafetensorsBytes(tensors: Named<Tensor>, options: WriteOptions = {}): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  await writeSafetensors({ write: async (bytes) => void pieces.push(bytes.slice()) }, tensors, options);
  const file = new Uint8Array(pieces.reduce((total, piece) => total + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    file.set(piece, offset);
    offset += piece.length;
  }
  return file;
}

/** What a header says of a tensor. */
interface HeaderItem {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: Shape;
}

/** A tensor to write, and its stored dtype. */
interface Planned extends HeaderItem {
  readonly where: string;
  readonly tensor: Tensor;
}

/** Tensors in the order of a file: by dtype, widest first, then by name. */
function inOrder<Item extends HeaderItem>(items: readonly Item[]): Item[] {
  const rank = (dtype: StoredDType) => storedDtypes.indexOf(dtype);
  return items.toSorted((a, b) => rank(b.dtype) - rank(a.dtype) || compareCodePoints(a.name, b.name));
}

/** Checks names and dtypes, and sorts the tensors into the order of the file. */
function plan(tensors: Named<Tensor>, dtypes: Named<StoredDType>): Planned[] {
  const named = toMap(tensors, 'tensors');
  const chosen = toMap(dtypes, 'dtypes');
  for (const name of chosen.keys()) {
    if (!named.has(name))
      throw new FormatError(`safetensors: dtypes names ${quote(name)}, but there is no such tensor`);
  }
  const planned = [...named].map(([name, tensor]) => {
    const where = `safetensors: tensor ${quote(name)}`;
    if (name === metadataName) throw new FormatError(`${where}: that name is reserved; choose another`);
    if (!(tensor instanceof Tensor)) {
      throw new TensorError(`${where}: its value is not a tensor; \`flattenTree\` lists the tensors of a tree`);
    }
    checkUsable(where, tensor);
    const dtype = chosen.get(name) ?? storedDtype(tensor);
    if (!isStoredDType(dtype) || codecFor(dtype, where).dtype !== tensor.dtype) {
      throw new FormatError(`${where}: ${tensor.dtype} cannot be written as ${String(dtype)}; cast it first`);
    }
    return { name, where, tensor, dtype, shape: tensor.shape };
  });
  return inOrder(planned);
}

/** The length of the header and its JSON, padded with spaces so that the data starts at a multiple of 8. */
function encodeHeader(planned: readonly HeaderItem[], metadata: Named<string>): Uint8Array {
  const items: string[] = [];
  const about = [...toMap(metadata, 'metadata')].sort(([a], [b]) => compareCodePoints(a, b));
  if (about.length > 0) items.push(jsonItem(metadataName, jsonObject(about.map(metadataItem))));
  let offset = 0;
  for (const { name, shape, dtype } of planned) {
    const begin = offset;
    offset += (sizeOf(shape) * bitSize[dtype]) / 8;
    items.push(jsonItem(name, JSON.stringify({ dtype, shape, data_offsets: [begin, offset] })));
  }
  const json = new TextEncoder().encode(jsonObject(items));
  const length = Math.ceil(json.length / 8) * 8;
  if (length > longestHeader) {
    throw new FormatError(`safetensors: the header takes ${length} bytes, but the format allows ${longestHeader}`);
  }
  const bytes = new Uint8Array(8 + length).fill(' '.charCodeAt(0));
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

const jsonObject = (items: readonly string[]): string => `{${items.join(',')}}`;

const jsonItem = (name: string, json: string): string => `${JSON.stringify(name)}:${json}`;

function metadataItem([key, value]: readonly [string, string]): string {
  if (typeof value !== 'string') {
    throw new FormatError(`safetensors: the metadata ${quote(key)} is ${String(value)}, which is not a string`);
  }
  checkText(value);
  return jsonItem(key, JSON.stringify(value));
}

function toMap<T>(named: Named<T>, what: string): ReadonlyMap<string, T> {
  const map = new Map<string, T>();
  for (const [name, value] of Symbol.iterator in named ? named : Object.entries<T>(named)) {
    if (map.has(name)) throw new FormatError(`safetensors: the name ${quote(name)} occurs twice in ${what}`);
    checkText(name);
    map.set(name, value);
  }
  return map;
}

/** Throws for half a surrogate pair, which UTF-8 cannot encode. */
function checkText(text: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw new FormatError(`safetensors: ${quote(text)} holds half a surrogate pair, which no file can hold`);
  }
}

/** Orders strings as their UTF-8 bytes are ordered; `<` compares UTF-16 units, which differs beyond the BMP. */
function compareCodePoints(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  // Two pairs that differ in their second halves are ordered like these halves.
  return (a.codePointAt(i) ?? -1) - (b.codePointAt(i) ?? -1);
}

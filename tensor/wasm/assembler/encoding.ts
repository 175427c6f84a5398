/** WebAssembly code as nested byte sequences, flattened once, when a module is encoded. */
export type Code = number | readonly Code[];

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    const byte = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? byte : byte | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit integer. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const byte = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0);
    bytes.push(done ? byte : byte | 0x80);
    if (done) return bytes;
  }
}

/** Little-endian bytes of an f32 or f64. */
export const float32Bytes = (value: number): number[] => [...new Uint8Array(Float32Array.of(value).buffer)];
export const float64Bytes = (value: number): number[] => [...new Uint8Array(Float64Array.of(value).buffer)];

/** Appends code to a list of bytes, depth first. */
export function flatten(code: Code, bytes: number[] = []): number[] {
  if (typeof code === 'number') bytes.push(code);
  else for (const part of code) flatten(part, bytes);
  return bytes;
}

/** A sequence preceded by its length in bytes. */
export function sized(code: Code): number[] {
  const bytes = flatten(code);
  return [...unsigned(bytes.length), ...bytes];
}

/** Items preceded by their count. */
export const vector = (items: readonly Code[]): Code => [unsigned(items.length), items];

export const utf8 = (text: string): Code => vector([...new TextEncoder().encode(text)]);

/**
 * TensorBoard's event files: a sequence of TFRecords (length, its checksum, data, their checksum) whose data are protocol
 * buffers of the message Event with a Summary of simple values.
 */

/** The table of CRC-32C (Castagnoli), reflected. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C of bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 255] as number);
  return (crc ^ 0xffffffff) >>> 0;
}

/** A checksum as TFRecord stores it: a CRC of data that hold plain CRCs would be weak. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function record(data: Uint8Array): Uint8Array {
  const head = new DataView(new ArrayBuffer(12));
  head.setBigUint64(0, BigInt(data.length), true);
  head.setUint32(8, masked(crc32c(new Uint8Array(head.buffer, 0, 8))), true);
  const tail = new DataView(new ArrayBuffer(4));
  tail.setUint32(0, masked(crc32c(data)), true);
  return concatenated([new Uint8Array(head.buffer), data, new Uint8Array(tail.buffer)]);
}

function varint(value: number): Uint8Array {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    const low = Number(rest & 127n);
    if (rest < 128n) {
      bytes.push(low);
      return Uint8Array.from(bytes);
    }
    bytes.push(low | 128);
  }
}

/** The wire types of protocol buffers. */
const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const tag = (field: number, kind: keyof typeof wire): Uint8Array => varint((field << 3) | wire[kind]);
const bytesField = (field: number, bytes: Uint8Array): Uint8Array =>
  concatenated([tag(field, 'bytes'), varint(bytes.length), bytes]);
const textField = (field: number, text: string): Uint8Array => bytesField(field, new TextEncoder().encode(text));

function doubleField(field: number, value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return concatenated([tag(field, 'fixed64'), new Uint8Array(view.buffer)]);
}

function floatField(field: number, value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value, true);
  return concatenated([tag(field, 'fixed32'), new Uint8Array(view.buffer)]);
}

/** The first record of an event file. `seconds` is the time since 1970. */
export const eventFileHead = (seconds: number): Uint8Array =>
  record(concatenated([doubleField(1, seconds), textField(3, 'brain.Event:2')]));

/** The record of a step's scalars, by their tags. `seconds` is the time since 1970. */
export function scalarsRecord(seconds: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array {
  const values = Object.entries(scalars).map(([name, value]) =>
    bytesField(1, concatenated([textField(1, name), floatField(2, value)])),
  );
  return record(
    concatenated([doubleField(1, seconds), tag(2, 'varint'), varint(step), bytesField(5, concatenated(values))]),
  );
}

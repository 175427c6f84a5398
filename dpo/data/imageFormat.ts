import { substituteIn } from '../../tensor/index.ts';
import { ImageError } from './image.ts';

/** A format that can be decoded. */
export type ImageFormat = 'JPEG' | 'PNG' | 'WebP';

const startsWith = (bytes: Uint8Array, at: number, ...expected: readonly number[]): boolean =>
  expected.every((byte, i) => bytes[at + i] === byte);

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));

const isFormat: Readonly<Record<ImageFormat, (bytes: Uint8Array) => boolean>> = {
  JPEG: (bytes) => startsWith(bytes, 0, 0xff, 0xd8, 0xff),
  PNG: (bytes) => startsWith(bytes, 0, 0x89, ...ascii('PNG'), 0x0d, 0x0a, 0x1a, 0x0a),
  WebP: (bytes) => startsWith(bytes, 0, ...ascii('RIFF')) && startsWith(bytes, 8, ...ascii('WEBP')),
};

/** True where the end of the image is present. Decoders silently fill in missing parts, above all of a JPEG. */
const isComplete: Readonly<Record<ImageFormat, (bytes: Uint8Array) => boolean>> = {
  JPEG: (bytes) => has(jpegSegments(bytes), endOfImage),
  PNG: (bytes) => has(pngChunks(bytes), 'IEND'),
  // Bytes 4 to 7 hold the count of bytes that follow them.
  WebP: (bytes) => bytes.length >= 8 + viewOf(bytes).getUint32(4, true),
};

/**
 * The format of an image file, by its first bytes.
 * @throws ImageError for any other format, or a truncated file
 */
export function imageFormat(bytes: Uint8Array, place: string): ImageFormat {
  if (bytes.length === 0) throw new ImageError(`${place}: there are no bytes where an image should be`);
  const format = (['JPEG', 'PNG', 'WebP'] as const).find((one) => isFormat[one](bytes));
  if (format === undefined) {
    const substitute = substituteIn(bytes);
    const shown = substitute === undefined ? '' : `: this is ${substitute}`;
    throw new ImageError(`${place}: this is no JPEG, PNG or WebP; it begins with ${shownBeginning(bytes)}${shown}`);
  }
  if (!isComplete[format](bytes))
    throw new ImageError(`${place}: the ${format} is cut short: its end is missing after ${bytes.length} bytes`);
  return format;
}

/** The first bytes for messages: text where all are printable, such as those of a web page, else hexadecimal. */
function shownBeginning(bytes: Uint8Array): string {
  const first = bytes.subarray(0, 12);
  if (first.every((byte) => byte >= 0x20 && byte < 0x7f)) return JSON.stringify(String.fromCharCode(...first));
  return [...first].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A part of a file: its name, or the marker of a JPEG segment, and the range of its content. */
interface Part {
  readonly name: string | number;
  readonly start: number;
  readonly end: number;
}

/** The chunks of a PNG, each a length, four letters, the content and four bytes of checksum. */
function* pngChunks(bytes: Uint8Array): Generator<Part> {
  const view = viewOf(bytes);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const start = at + 8;
    const end = start + view.getUint32(at);
    yield { name: String.fromCharCode(...bytes.subarray(at + 4, start)), start, end };
    at = end + 4;
  }
}

/** The chunks of a WebP, each four letters, a length and the content, padded to an even length. */
function* webpChunks(bytes: Uint8Array): Generator<Part> {
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const start = at + 8;
    const end = start + view.getUint32(at + 4, true);
    yield { name: String.fromCharCode(...bytes.subarray(at, at + 4)), start, end };
    at = end + (end % 2);
  }
}

const [endOfImage, startOfScan, app1] = [0xd9, 0xda, 0xe1];

/**
 * The segments of a JPEG up to its marker EOI (ITU-T T.81, B.1.1). Segments are skipped by their length, since a thumbnail in
 * one has an EOI of its own. Within a scan, FF precedes 00, a restart marker or the next segment.
 */
function* jpegSegments(bytes: Uint8Array): Generator<Part> {
  for (let at = 2; at < bytes.length; ) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) return;
    const marker = bytes[at + 1];
    if (marker === undefined) return;
    const isAlone = marker === 0x00 || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);
    if (marker === 0xff) at += 1;
    else if (isAlone || marker === startOfScan) at += 2;
    else {
      const end = at + 2 + (((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
      yield { name: marker, start: at + 4, end };
      if (marker === endOfImage) return;
      at = end;
    }
  }
}

function has(parts: Iterable<Part>, wanted: string | number): boolean {
  for (const { name } of parts) if (name === wanted) return true;
  return false;
}

/** Prefix of Exif data in a JPEG, and sometimes in the other formats. */
const exifMark = [...ascii('Exif'), 0, 0];

const exifParts: Readonly<Record<ImageFormat, (bytes: Uint8Array) => Iterable<Part>>> = {
  JPEG: (bytes) => jpegSegments(bytes),
  PNG: (bytes) => pngChunks(bytes),
  WebP: (bytes) => webpChunks(bytes),
};

/** An image file's Exif data from the TIFF header on: in any APP1 segment of a JPEG, in PNG's `eXIf`, in WebP's `EXIF`. */
export function exifOf(bytes: Uint8Array, format: ImageFormat): Uint8Array | undefined {
  for (const { name, start, end } of exifParts[format](bytes)) {
    const isMarked = startsWith(bytes, start, ...exifMark);
    if (name === 'eXIf' || name === 'EXIF' || (name === app1 && isMarked))
      return bytes.subarray(isMarked ? start + exifMark.length : start, end);
  }
  return undefined;
}

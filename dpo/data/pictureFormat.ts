import { substituteIn } from '../../tensor/index.ts';
import { PictureError } from './picture.ts';

export type PictureFormat = 'JPEG' | 'PNG' | 'WebP';

const startsWith = (bytes: Uint8Array, at: number, ...expected: readonly number[]): boolean =>
  expected.every((byte, i) => bytes[at + i] === byte);

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));

const isFormat: Readonly<Record<PictureFormat, (bytes: Uint8Array) => boolean>> = {
  JPEG: (bytes) => startsWith(bytes, 0, 0xff, 0xd8, 0xff),
  PNG: (bytes) => startsWith(bytes, 0, 0x89, ...ascii('PNG'), 0x0d, 0x0a, 0x1a, 0x0a),
  WebP: (bytes) => startsWith(bytes, 0, ...ascii('RIFF')) && startsWith(bytes, 8, ...ascii('WEBP')),
};

/** Whether the end of the picture is there. Decoders fill in what is missing and say nothing, those of JPEG most of all. */
const isComplete: Readonly<Record<PictureFormat, (bytes: Uint8Array) => boolean>> = {
  JPEG: hasEndOfImage,
  PNG: hasEndChunk,
  // The size of what follows the first eight bytes is in the header.
  WebP: (bytes) => bytes.length >= 8 + viewOf(bytes).getUint32(4, true),
};

/** The format of a picture, by its first bytes. Throws where it is none of the three, or where its end is missing. */
export function pictureFormat(bytes: Uint8Array, place: string): PictureFormat {
  if (bytes.length === 0) throw new PictureError(`${place}: there are no bytes where a picture should be`);
  const format = (['JPEG', 'PNG', 'WebP'] as const).find((one) => isFormat[one](bytes));
  if (format === undefined) {
    const substitute = substituteIn(bytes);
    const shown = substitute === undefined ? '' : `: this is ${substitute}`;
    throw new PictureError(`${place}: this is no JPEG, PNG or WebP; it begins with ${begin(bytes)}${shown}`);
  }
  if (!isComplete[format](bytes))
    throw new PictureError(`${place}: the ${format} is cut short: its end is missing after ${bytes.length} bytes`);
  return format;
}

/** The first bytes as messages show them: as text where they are letters, such as those of a web page. */
function begin(bytes: Uint8Array): string {
  const first = bytes.subarray(0, 12);
  if (first.every((byte) => byte >= 0x20 && byte < 0x7f)) return JSON.stringify(String.fromCharCode(...first));
  return [...first].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Whether a PNG has its last chunk, IEND. A chunk is its length, four letters, the data and four bytes of checksum. */
function hasEndChunk(bytes: Uint8Array): boolean {
  const view = viewOf(bytes);
  let at = 8;
  while (at + 12 <= bytes.length) {
    if (startsWith(bytes, at + 4, ...ascii('IEND'))) return true;
    at += 12 + view.getUint32(at);
  }
  return false;
}

/**
 * Whether a JPEG has its marker EOI (ITU-T T.81, B.1.1). Segments are stepped over by their lengths, since thumbnails in
 * them have ends of their own; within a scan, FF is followed by 00 or by a restart marker, or begins the next segment.
 */
function hasEndOfImage(bytes: Uint8Array): boolean {
  const [endOfImage, startOfScan] = [0xd9, 0xda];
  let at = 2;
  while (at < bytes.length) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) return false;
    const marker = bytes[at + 1];
    if (marker === endOfImage) return true;
    const isAlone = marker === 0x00 || marker === 0x01 || (marker !== undefined && marker >= 0xd0 && marker <= 0xd7);
    if (marker === 0xff) at += 1;
    else if (isAlone || marker === startOfScan) at += 2;
    else at += 2 + (((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
  }
  return false;
}

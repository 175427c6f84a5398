import { TensorError } from '../../tensor/index.ts';
import type { Image } from './image.ts';

/** A caption with two images of which people preferred one. */
export interface PreferencePair {
  readonly caption: string;
  /** The preferred one. */
  readonly winner: Image;
  readonly loser: Image;
  /** File and row, for messages. */
  readonly place: string;
  /** What made the images, where the data say so. */
  readonly models?: { readonly winner: string; readonly loser: string };
}

/** Rows [start, end) that lie together on disk: shuffling keeps to one group at a time. */
export interface RowGroup {
  readonly start: number;
  readonly end: number;
}

/** Pairs in files, in any order. What has no preference is left out from the start; images are decoded by `read`. */
export interface PairSource extends AsyncDisposable {
  readonly name: string;
  readonly count: number;
  /** Pairs that were left out because neither image was preferred. */
  readonly ties: number;
  /** Pairs that were left out because nobody has judged them. */
  readonly unlabelled: number;
  readonly groups: readonly RowGroup[];
  /** @throws FormatError or ImageError naming the place, where the row or an image of it is broken */
  read(index: number): Promise<PreferencePair>;
}

/** An image with its caption. */
export interface CaptionedImage {
  readonly caption: string;
  readonly image: Image;
  /** File and row, for messages. */
  readonly place: string;
}

/** Captioned images in files. */
export interface CaptionedSource extends AsyncDisposable {
  readonly name: string;
  readonly count: number;
  readonly groups: readonly RowGroup[];
  /** @throws FormatError or ImageError naming the place, where the row or its image is broken */
  read(index: number): Promise<CaptionedImage>;
}

/** One group for rows that can be had in any order. */
export const oneGroup = (count: number): readonly RowGroup[] => (count === 0 ? [] : [{ start: 0, end: count }]);

/** Refuses an index outside of a source. */
export function checkIndex({ name, count }: { readonly name: string; readonly count: number }, index: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new TensorError(`${name}: there is no row ${index}; its rows are 0 to ${count - 1}`);
}

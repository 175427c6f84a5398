import { TensorError } from '../../tensor/index.ts';
import type { Image } from './image.ts';

/** A caption and two images, of which people preferred one. */
export interface PreferencePair {
  readonly caption: string;
  /** The preferred image. */
  readonly winner: Image;
  readonly loser: Image;
  /** File and row, for messages. */
  readonly place: string;
  /** Names of the images' generators, where the data have them. */
  readonly models?: { readonly winner: string; readonly loser: string };
}

/** Rows [start, end) that are stored together; shuffling finishes one group before the next. */
export interface RowGroup {
  readonly start: number;
  readonly end: number;
}

/** Random access to preference pairs in files. Pairs without a preference are left out; `read` decodes the images. */
export interface PairSource extends AsyncDisposable {
  /** File or files, for messages. */
  readonly name: string;
  /** Number of pairs. */
  readonly count: number;
  /** Pairs left out because neither image was preferred. */
  readonly ties: number;
  /** Pairs left out because they have no label. */
  readonly unlabelled: number;
  readonly groups: readonly RowGroup[];
  /**
   * Reads pair `index`, from 0.
   * @throws FormatError or ImageError that names the place, where the row or one of its images is broken
   */
  read(index: number): Promise<PreferencePair>;
}

/** An image and its caption. */
export interface CaptionedImage {
  readonly caption: string;
  readonly image: Image;
  /** File and row, for messages. */
  readonly place: string;
}

/** Random access to captioned images in files. */
export interface CaptionedSource extends AsyncDisposable {
  readonly name: string;
  readonly count: number;
  readonly groups: readonly RowGroup[];
  /**
   * Reads row `index`, from 0.
   * @throws FormatError or ImageError that names the place, where the row or its image is broken
   */
  read(index: number): Promise<CaptionedImage>;
}

/** One group of all rows, for files with cheap random access. */
export const oneGroup = (count: number): readonly RowGroup[] => (count === 0 ? [] : [{ start: 0, end: count }]);

/** @throws TensorError for an index outside the source */
export function checkIndex({ name, count }: { readonly name: string; readonly count: number }, index: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new TensorError(`${name}: there is no row ${index}; its rows are 0 to ${count - 1}`);
}

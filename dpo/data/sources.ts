import { TensorError } from '../../tensor/index.ts';
import type { Picture } from './image.ts';

/** A caption with two pictures of which people preferred one. */
export interface PreferencePair {
  readonly caption: string;
  /** The preferred one. */
  readonly winner: Picture;
  readonly loser: Picture;
  /** File and row, for messages. */
  readonly place: string;
  /** What made the pictures, where the data say so. */
  readonly models?: { readonly winner: string; readonly loser: string };
}

/** Rows [start, end) that lie together on disk: shuffling keeps to one group at a time. */
export interface RowGroup {
  readonly start: number;
  readonly end: number;
}

/** Pairs in files, in any order. What has no preference is left out from the start; pictures are decoded by `read`. */
export interface PairSource extends AsyncDisposable {
  readonly name: string;
  readonly count: number;
  /** Pairs that were left out because neither picture was preferred. */
  readonly ties: number;
  /** Pairs that were left out because nobody has judged them. */
  readonly unlabelled: number;
  readonly groups: readonly RowGroup[];
  /** @throws FormatError or PictureError naming the place, where the row or a picture of it is broken */
  read(index: number): Promise<PreferencePair>;
}

/** A picture with its caption. */
export interface CaptionedPicture {
  readonly caption: string;
  readonly picture: Picture;
  /** File and row, for messages. */
  readonly place: string;
}

/** Captioned pictures in files. */
export interface CaptionedSource extends AsyncDisposable {
  readonly name: string;
  readonly count: number;
  readonly groups: readonly RowGroup[];
  /** @throws FormatError or PictureError naming the place, where the row or its picture is broken */
  read(index: number): Promise<CaptionedPicture>;
}

/** One group for rows that can be had in any order. */
export const oneGroup = (count: number): readonly RowGroup[] => (count === 0 ? [] : [{ start: 0, end: count }]);

/** Refuses an index outside of a source. */
export function checkIndex({ name, count }: { readonly name: string; readonly count: number }, index: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new TensorError(`${name}: there is no row ${index}; its rows are 0 to ${count - 1}`);
}

import type { Figure } from '../figure.ts';
import type { Curve } from './metrics.ts';

/** An image as the bytes of its file. */
export interface ReportImage {
  readonly bytes: Uint8Array;
  /** Default image/png. */
  readonly type?: 'image/png' | 'image/jpeg' | 'image/webp';
}

/** Images side by side: one row for each caption, one column for each model. */
export interface ReportGrid {
  readonly title: string;
  readonly note?: string;
  /** Names of the columns, such as before and after. */
  readonly columns: readonly string[];
  readonly rows: readonly { readonly caption: string; readonly images: readonly ReportImage[] }[];
}

/** A line in the table of figures. */
export interface ReportFigure {
  readonly name: string;
  /** What it is, in a sentence or two. */
  readonly definition: string;
  /** By the names of columns, such as before and after. */
  readonly values: Readonly<Record<string, Figure | number>>;
  /** Which way is better, if either is. */
  readonly better?: 'higher' | 'lower';
}

/** Everything that a report shows. */
export interface Report {
  readonly title: string;
  /** The result in a sentence or two, below the title. */
  readonly summary: string;
  readonly figures: readonly ReportFigure[];
  readonly curves: readonly Curve[];
  readonly grids: readonly ReportGrid[];
  /** Terms that occur beside the figures. */
  readonly definitions: Readonly<Record<string, string>>;
  /** The configuration of the run, as JSON. */
  readonly config: unknown;
}

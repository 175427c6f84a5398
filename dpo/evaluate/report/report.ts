import type { Figure } from '../figure.ts';
import type { Curve } from './metrics.ts';

/** An image as the bytes of its file. */
export interface ReportImage {
  readonly bytes: Uint8Array;
  /** Default image/png. */
  readonly type?: 'image/png' | 'image/jpeg' | 'image/webp';
}

/** A grid of images: one row for each caption, one column for each source, such as a model. */
export interface ReportGrid {
  readonly title: string;
  readonly note?: string;
  /** Names of the columns, such as before and after. */
  readonly columns: readonly string[];
  readonly rows: readonly { readonly caption: string; readonly images: readonly ReportImage[] }[];
}

/** A row of the table of figures. */
export interface ReportFigure {
  readonly name: string;
  /** The figure's definition, in a sentence or two. */
  readonly definition: string;
  /** Values by column, such as before and after. */
  readonly values: Readonly<Record<string, Figure | number>>;
  /** Which direction is better, if either. */
  readonly better?: 'higher' | 'lower';
}

/** The content of a report, which `reportHtml` renders. */
export interface Report {
  readonly title: string;
  /** The result in a sentence or two, below the title. */
  readonly summary: string;
  readonly figures: readonly ReportFigure[];
  readonly curves: readonly Curve[];
  readonly grids: readonly ReportGrid[];
  /** Definitions of other terms, such as the names of metrics, by term. */
  readonly definitions: Readonly<Record<string, string>>;
  /** The configuration of the run, as JSON. */
  readonly config: unknown;
}

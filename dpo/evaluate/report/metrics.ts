import { FormatError } from '../../../tensor/index.ts';

/** One line of a metrics file: numbers by name, and whatever else stands there. */
export type MetricRecord = Readonly<Record<string, unknown>>;

/**
 * The records of a metrics file, one JSON object a line. A last line without its end, where a run was killed while it
 * wrote, is left out.
 * @throws FormatError where another line is no object.
 */
export function readMetrics(text: string, place = 'metrics'): MetricRecord[] {
  const lines = text.split('\n');
  const unfinished = lines.pop() ?? '';
  const complete = isRecord(parse(unfinished)) ? [...lines, unfinished] : lines;
  return complete.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const record = parse(line);
    if (!isRecord(record)) throw new FormatError(`${place}, line ${i + 1}: not a JSON object: ${line.slice(0, 80)}`);
    return [record];
  });
}

const isRecord = (value: unknown): value is MetricRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** A line in a diagram. */
export interface CurveSeries {
  readonly label: string;
  /** null where there is no value. */
  readonly values: readonly (number | null)[];
}

/** A diagram of lines over one axis. */
export interface Curve {
  readonly title: string;
  /** What is drawn, in a sentence. */
  readonly note?: string;
  /** What the horizontal axis is; default step. */
  readonly axis?: string;
  /** Where on the axis, rising. */
  readonly at: readonly number[];
  readonly series: readonly CurveSeries[];
  /** A value to compare with, drawn as a thin line across: log 2 for the loss of DPO, say. */
  readonly reference?: { readonly label: string; readonly value: number };
  /** Drawn on a logarithmic scale. */
  readonly logarithmic?: boolean;
  /** The axis is logarithmic; what is at 0 or below is left out. */
  readonly axisIsLogarithmic?: boolean;
}

/** Options of `curveOf`: the values to plot, and the title, note, axis and scales of the diagram. */
export interface CurveOptions extends Omit<Curve, 'at' | 'series'> {
  /** Names in the records, dots leading into records within, and how they are labelled. */
  readonly keys: Readonly<Record<string, string>>;
}

/** A diagram of some numbers of records over one of them, `step` unless `axis` names another. Records and numbers without are left out. */
export function curveOf(records: readonly MetricRecord[], { keys, ...curve }: CurveOptions): Curve {
  const axis = curve.axis ?? 'step';
  const number = (record: MetricRecord, name: string): number | null => {
    const value = name.split('.').reduce<unknown>((found, part) => (isRecord(found) ? found[part] : undefined), record);
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  };
  const names = Object.keys(keys);
  const used = records
    .filter((record) => number(record, axis) !== null && names.some((name) => number(record, name) !== null))
    .toSorted((a, b) => Number(a[axis]) - Number(b[axis]));
  const series = names
    .filter((name) => used.length === 0 || used.some((record) => number(record, name) !== null))
    .map((name) => ({ label: keys[name] as string, values: used.map((record) => number(record, name)) }));
  return { ...curve, axis, at: used.map((record) => Number(record[axis])), series };
}

/** Means over a window of `width` neighbours to both sides, without those that are missing. */
export function smoothed(values: readonly (number | null)[], width: number): (number | null)[] {
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - width), i + width + 1).filter((value) => value !== null);
    return near.length === 0 ? null : near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

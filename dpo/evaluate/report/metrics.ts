import { FormatError } from '../../../tensor/index.ts';

/** One line of a metrics file: a JSON object with numbers and other values by name. */
export type MetricRecord = Readonly<Record<string, unknown>>;

/**
 * Parses a metrics file with one JSON object a line. An incomplete last line, as a run leaves that is killed while it writes,
 * is ignored.
 * @throws FormatError if another line is not a JSON object
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

/** One line of a diagram. */
export interface CurveSeries {
  readonly label: string;
  /** One value for each place on the axis; null if it is missing. */
  readonly values: readonly (number | null)[];
}

/** A diagram of lines that share one horizontal axis. */
export interface Curve {
  readonly title: string;
  /** A sentence that explains the diagram. */
  readonly note?: string;
  /** Name of the horizontal axis; default step. */
  readonly axis?: string;
  /** Places on the axis, in ascending order. */
  readonly at: readonly number[];
  readonly series: readonly CurveSeries[];
  /** A value for comparison, drawn as a thin horizontal line, such as log 2 for the loss of DPO. */
  readonly reference?: { readonly label: string; readonly value: number };
  /** Whether the vertical axis is logarithmic. */
  readonly logarithmic?: boolean;
  /** Whether the horizontal axis is logarithmic; values at 0 or below are then not drawn. */
  readonly axisIsLogarithmic?: boolean;
}

/** Options of `curveOf`: the values to plot, and the title, note, axis and scales of the diagram. */
export interface CurveOptions extends Omit<Curve, 'at' | 'series'> {
  /** Labels of the lines by names in the records; a dot leads into a nested record, as in `validation.margin`. */
  readonly keys: Readonly<Record<string, string>>;
}

/**
 * A diagram of numbers of records over the number that `axis` names, `step` by default. Records without the axis's number or
 * without any of the lines' numbers are left out, as are lines without values, unless all are.
 */
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

/** Means over windows of `width` neighbours on both sides, ignoring missing values; null if a window has none. */
export function smoothed(values: readonly (number | null)[], width: number): (number | null)[] {
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - width), i + width + 1).filter((value) => value !== null);
    return near.length === 0 ? null : near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

/** One comparison of a gradient with central differences. */
export interface Comparison {
  /** The input: its number and, within a tree, its path ("1.weight"); 'x' for plain functions. */
  readonly input: string;
  /** The element; `undefined` where all elements were moved together and no single one is wrong. */
  readonly index: readonly number[] | undefined;
  /** The derivative by the gradient. */
  readonly analytic: number;
  /** The derivative by central differences. */
  readonly numeric: number;
  /** |analytic − numeric|. */
  readonly error: number;
  /** The largest error that passes. */
  readonly tolerance: number;
  /** 1: the gradient of the function itself. 2: that of x ↦ ⟨∇f(x), v⟩. */
  readonly order: 1 | 2;
}

/** The result of a gradient check. */
export interface GradientReport {
  /** True if every comparison is within its tolerance. */
  readonly ok: boolean;
  /** The comparison with the largest error relative to its tolerance; `undefined` without any comparison. */
  readonly worst: Comparison | undefined;
  /** The number of comparisons. */
  readonly checked: number;
}

/** The error of a gradient check: gradient and central differences disagree. */
export class GradientCheckError extends Error {
  override name = 'GradientCheckError';
  readonly report: GradientReport;

  constructor(report: GradientReport) {
    super(messageOf(report));
    this.report = report;
  }
}

function messageOf({ worst, checked }: GradientReport): string {
  if (worst === undefined) return 'the gradient check failed';
  const { input, index, analytic, numeric, error, tolerance, order } = worst;
  const place =
    index === undefined
      ? `in a direction that moves all elements (${input})`
      : `for input ${input}${index.length === 0 ? '' : `, element [${index.join(', ')}]`}`;
  const subject = order === 1 ? 'the gradient' : 'the second derivative (the gradient of ⟨∇f, v⟩)';
  const reason = Number.isFinite(error)
    ? `they differ by ${error.toPrecision(3)}, ${tolerance.toPrecision(3)} is allowed`
    : 'both must be finite';
  return `order ${order}: ${subject} is wrong ${place}: analytic ${analytic}, numeric ${numeric}; ${reason} (${checked} comparisons)`;
}

/** error / tolerance: a comparison above 1 fails; NaN counts as infinite. */
export function severity({ error, tolerance }: Pick<Comparison, 'error' | 'tolerance'>): number {
  const ratio = error === 0 ? 0 : error / tolerance;
  return Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
}

/** Several reports as one. */
export function combine(reports: readonly GradientReport[]): GradientReport {
  const [worst] = reports.flatMap((report) => report.worst ?? []).sort((a, b) => compare(severity(b), severity(a)));
  return {
    ok: reports.every(({ ok }) => ok),
    worst,
    checked: reports.reduce((total, { checked }) => total + checked, 0),
  };
}

const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);

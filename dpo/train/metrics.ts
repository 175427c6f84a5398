import { reportRows } from './preferenceStep.ts';

/** The numbers of one pair of a micro-batch; the last four need a reference. */
export interface PairRow {
  readonly timestep: number;
  /** MSE_θ of the preferred image, and of the other. */
  readonly winnerError: number;
  readonly loserError: number;
  /** d_w and d_l: MSE_θ − MSE_ref. */
  readonly winnerChange?: number | undefined;
  readonly loserChange?: number | undefined;
  /** u, the implicit reward margin. */
  readonly margin?: number | undefined;
  /** 1 where u > 0, ½ where u = 0, else 0. */
  readonly correct?: number | undefined;
}

/** The pairs of `BatchReport.pairs`, [rows, pairs] row-major; only the first three rows without a reference. */
export function pairRows(values: ArrayLike<number>, pairs: number): PairRow[] {
  return Array.from({ length: pairs }, (_, pair) => {
    const row = Object.fromEntries(reportRows.map((name, i) => [name, values[i * pairs + pair]]));
    return row as unknown as PairRow;
  });
}

/** Means over pairs. */
export interface PairMeans {
  readonly pairs: number;
  readonly winnerError: number;
  readonly loserError: number;
  readonly winnerChange?: number;
  readonly loserChange?: number;
  readonly margin?: number;
  /** The standard deviation of u over pairs. */
  readonly marginDeviation?: number;
  /** Implicit accuracy: share of pairs with u > 0; u = 0 counts half. */
  readonly accuracy?: number;
}

/** One row of `metrics.jsonl`. */
export interface MetricsRow extends PairMeans {
  /** Steps made so far; the means are over the steps since the last row. */
  readonly step: number;
  readonly loss: number;
  /** The norm of a step's mean gradient before it is clipped; the mean over steps. */
  readonly gradientNorm: number;
  /** The rate of the last step. */
  readonly learningRate: number;
  readonly stepsPerSecond: number;
  /** The most memory held on the device since the last row. */
  readonly peakBytes: number;
  /** The means for equal parts of the time steps, `from` and `to` included; parts without pairs are left out. */
  readonly buckets: readonly (PairMeans & { readonly from: number; readonly to: number })[];
  /** Accuracy and mean margin of held-out pairs, where they were ranked after this step. */
  readonly validation?: { readonly accuracy: number; readonly margin: number; readonly pairs: number } | undefined;
}

/** Sums over pairs, as plain JSON for training checkpoints. */
interface Sums {
  readonly pairs: number;
  readonly winnerError: number;
  readonly loserError: number;
  /** Pairs that were compared with a reference. */
  readonly compared: number;
  readonly winnerChange: number;
  readonly loserChange: number;
  readonly margin: number;
  readonly marginSquares: number;
  readonly correct: number;
}

/** Sums since the last row. */
export interface MetricsWindow {
  readonly steps: number;
  readonly batches: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly buckets: readonly Sums[];
}

const zero: Sums = {
  pairs: 0,
  winnerError: 0,
  loserError: 0,
  compared: 0,
  winnerChange: 0,
  loserChange: 0,
  margin: 0,
  marginSquares: 0,
  correct: 0,
};

const added = (a: Sums, b: Sums): Sums =>
  Object.fromEntries(
    Object.entries(a).map(([name, value]) => [name, value + b[name as keyof Sums]]),
  ) as unknown as Sums;

const sumsOf = (row: PairRow): Sums => ({
  pairs: 1,
  winnerError: row.winnerError,
  loserError: row.loserError,
  compared: row.margin === undefined ? 0 : 1,
  winnerChange: row.winnerChange ?? 0,
  loserChange: row.loserChange ?? 0,
  margin: row.margin ?? 0,
  marginSquares: (row.margin ?? 0) ** 2,
  correct: row.correct ?? 0,
});

/** A window without steps; `buckets` is the number of parts of the time steps. */
export const emptyWindow = (buckets: number): MetricsWindow => ({
  steps: 0,
  batches: 0,
  loss: 0,
  gradientNorm: 0,
  buckets: new Array<Sums>(buckets).fill(zero),
});

/** The part that a time step belongs to, of `buckets` equal parts of 0 … T − 1; `timesteps` is T. */
export const bucketOf = (timestep: number, timesteps: number, buckets: number): number =>
  Math.min(buckets - 1, Math.floor((timestep * buckets) / timesteps));

/**
 * The window with one more micro-batch; `gradientNorm` is defined for the last micro-batch of a step. `timesteps` is T.
 */
export function withBatch(
  window: MetricsWindow,
  batch: { readonly loss: number; readonly gradientNorm: number | undefined; readonly pairs: readonly PairRow[] },
  timesteps: number,
): MetricsWindow {
  const buckets = [...window.buckets];
  for (const row of batch.pairs) {
    const bucket = bucketOf(row.timestep, timesteps, buckets.length);
    buckets[bucket] = added(buckets[bucket] as Sums, sumsOf(row));
  }
  return {
    steps: window.steps + (batch.gradientNorm === undefined ? 0 : 1),
    batches: window.batches + 1,
    loss: window.loss + batch.loss,
    gradientNorm: window.gradientNorm + (batch.gradientNorm ?? 0),
    buckets,
  };
}

function meansOf(sums: Sums): PairMeans {
  const { pairs, compared } = sums;
  const errors = { pairs, winnerError: sums.winnerError / pairs, loserError: sums.loserError / pairs };
  if (compared === 0) return errors;
  const margin = sums.margin / compared;
  return {
    ...errors,
    winnerChange: sums.winnerChange / compared,
    loserChange: sums.loserChange / compared,
    margin,
    marginDeviation: Math.sqrt(Math.max(0, sums.marginSquares / compared - margin ** 2)),
    accuracy: sums.correct / compared,
  };
}

/** The row of a window, which must hold at least one step. `timesteps` is T. */
export function summarize(
  window: MetricsWindow,
  timesteps: number,
  rest: Pick<MetricsRow, 'step' | 'learningRate' | 'stepsPerSecond' | 'peakBytes' | 'validation'>,
): MetricsRow {
  const { buckets } = window;
  const edge = (i: number): number => Math.ceil((i * timesteps) / buckets.length);
  return {
    step: rest.step,
    loss: window.loss / window.batches,
    ...meansOf(buckets.reduce(added, zero)),
    gradientNorm: window.gradientNorm / window.steps,
    learningRate: rest.learningRate,
    stepsPerSecond: rest.stepsPerSecond,
    peakBytes: rest.peakBytes,
    buckets: buckets.flatMap((sums, i) =>
      sums.pairs === 0 ? [] : [{ from: edge(i), to: edge(i + 1) - 1, ...meansOf(sums) }],
    ),
    ...(rest.validation === undefined ? {} : { validation: rest.validation }),
  };
}

/** The meaning of each number of a row, for reports and documentation. */
export const metricDefinitions: Readonly<Record<string, string>> = {
  loss: 'the mean of what is minimised; log 2 = 0.693 at the beginning of dpo',
  winnerError: "MSE_w: mean squared error of the model's prediction for preferred images",
  loserError: 'MSE_l: the same for the other images',
  winnerChange:
    "d_w: MSE_w minus the reference's; above 0, the model predicts preferred images worse than the reference",
  loserChange: 'd_l: the same for the other images',
  margin: 'u = −β·W_t·(d_w − d_l), the implicit reward margin; above 0 where the model ranks a pair as its label does',
  marginDeviation: 'standard deviation of u over pairs',
  accuracy: 'implicit accuracy: share of pairs with u > 0; u = 0 counts half',
  gradientNorm: 'norm of the mean gradient of a step, before it is clipped',
  learningRate: 'of the last step',
  stepsPerSecond: 'steps a second, everything included',
  peakBytes: 'most memory held on the device within these steps',
};

import type { MetricsRow } from './metrics.ts';

/** A problem that the metrics show. */
export interface MetricsWarning {
  readonly name: 'flat margin' | 'displaced likelihood';
  readonly message: string;
}

/** A mean this many standard errors from 0 is more than chance. */
const significant = 3;
/** The fewest pairs that warnings are based on. */
const leastPairs = 200;

/**
 * Warnings about the last 200 pairs or more of a run:
 * - flat margin: the mean margin lies within noise of 0, so the model has learnt nothing of the labels;
 * - displaced likelihood (Razin et al. 2024): d_w and d_l are both above 0. The margin grows only because d_l grows faster
 *   than d_w, and the model gets worse at preferred images too.
 */
export function warningsOf(
  rows: readonly MetricsRow[],
  { objective = '', safeguard = null }: { readonly objective?: string; readonly safeguard?: number | null } = {},
): MetricsWarning[] {
  const recent: MetricsRow[] = [];
  let pairs = 0;
  for (const row of [...rows].reverse()) {
    if (row.margin === undefined || pairs >= leastPairs) break;
    recent.push(row);
    pairs += row.pairs;
  }
  if (pairs < leastPairs) return [];
  const mean = (of: (row: MetricsRow) => number | undefined): number =>
    recent.reduce((sum, row) => sum + (of(row) ?? 0) * row.pairs, 0) / pairs;
  const [first, last] = [recent.at(-1) as MetricsRow, recent[0] as MetricsRow];
  const where = `steps ${first.step} to ${last.step}, ${pairs} pairs`;
  const found: MetricsWarning[] = [];
  const margin = mean((row) => row.margin);
  const error = Math.sqrt(mean((row) => (row.marginDeviation ?? 0) ** 2) / pairs);
  if (Math.abs(margin) < significant * error && error > 0) {
    found.push({
      name: 'flat margin',
      message:
        `the margin is within noise of 0 (${margin.toPrecision(2)} ± ${error.toPrecision(1)}; ${where}): nothing has been ` +
        'learnt of the labels yet. Wrong labels, too low a learning rate, or too few steps look like this',
    });
  }
  const [winner, loser] = [mean((row) => row.winnerChange), mean((row) => row.loserChange)];
  if (winner > 0 && loser > 0 && winner > 0.01 * mean((row) => row.winnerError)) {
    const remedies = [
      ...['A larger beta', 'a lower learning rate', 'fewer steps'],
      ...(objective === 'dpo+sft' ? ['a larger sftWeight'] : ['objective dpo+sft']),
      ...(safeguard === null ? ['safeguard'] : []),
    ];
    found.push({
      name: 'displaced likelihood',
      message:
        `both errors have grown over the reference's (d_w = ${winner.toPrecision(2)}, d_l = ${loser.toPrecision(2)}; ${where}): ` +
        `preferred images are predicted worse too. ${remedies.slice(0, -1).join(', ')} or ${remedies.at(-1)} helps`,
    });
  }
  return found;
}

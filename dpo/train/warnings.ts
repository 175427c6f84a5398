import type { MetricsRow } from './metrics.ts';

/** Something that a look at the metrics would show; each is told once. */
export interface MetricsWarning {
  readonly name: 'flat margin' | 'displaced likelihood';
  readonly message: string;
}

/** How many standard errors count as more than chance. */
const significant = 3;
/** Pairs before anything is concluded. */
const leastPairs = 200;

/**
 * What the last rows of a run with these settings give reason to warn of:
 * - a margin that lies within noise of 0 after many pairs: the model has learnt nothing of the labels;
 * - both sides' errors above the reference's: the margin grows only because the others' error grows faster, and images
 *   of either kind are getting worse ("likelihood displacement").
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

import type { PairSource, RowGroup } from './sources.ts';

/**
 * At most so many rows of a source: whole groups that lie evenly over it, or as many rows of each as are wanted, since what
 * lies together on disk is read together.
 */
export function spreadRows(source: PairSource, most: number): PairSource {
  const { count, groups } = source;
  if (count <= most) return source;
  const wanted = Math.min(groups.length, Math.ceil((most * groups.length) / count));
  const rows: number[] = [];
  for (let i = 0; i < wanted; i++) {
    const { start, end } = groups[Math.floor((i * groups.length) / wanted)] as RowGroup;
    const share = Math.ceil((most - rows.length) / (wanted - i));
    for (let row = start; row < Math.min(end, start + share); row++) rows.push(row);
  }
  return {
    ...source,
    count: rows.length,
    groups: [{ start: 0, end: rows.length }],
    read: (index) => source.read(rows[index] as number),
    // What was opened is closed by who opened it.
    [Symbol.asyncDispose]: async () => undefined,
  };
}

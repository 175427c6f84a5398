import type { PairSource, RowGroup } from './sources.ts';

/**
 * At most `most` rows of a source, from groups spaced evenly over it, so that few groups are read from disk. The source stays the
 * caller's to close.
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
    [Symbol.asyncDispose]: async () => undefined,
  };
}

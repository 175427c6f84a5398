/** "1 pair", "2 pairs". */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** The first `most` distinct messages, each with the number of rows it stands for, and a last line with the number of further ones. */
export function listed(messages: readonly string[], most: number): string[] {
  const counts = new Map<string, number>();
  for (const message of messages) counts.set(message, (counts.get(message) ?? 0) + 1);
  const lines = [...counts].map(([message, count]) => (count === 1 ? message : `${message} (${count} rows)`));
  return [...lines.slice(0, most), ...(lines.length > most ? [`and ${lines.length - most} more`] : [])];
}

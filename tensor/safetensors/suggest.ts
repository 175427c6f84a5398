import { quote } from './message.ts';

/** The Levenshtein distance between two texts. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** `; did you mean "conv.weight"?` with up to three names near `wanted`; empty if none is near. */
export function suggestion(wanted: string, names: readonly string[]): string {
  const farthest = Math.min(Math.max(2, Math.floor(wanted.length / 3)), 16);
  const near = names
    .filter((name) => Math.abs(name.length - wanted.length) <= farthest && wanted.length <= 256)
    .map((name) => ({ name, distance: editDistance(wanted, name) }))
    .filter(({ distance }) => distance <= farthest)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3);
  return near.length === 0 ? '' : `; did you mean ${near.map(({ name }) => quote(name)).join(' or ')}?`;
}

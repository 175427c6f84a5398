import { checkIndex, type RowGroup } from './sources.ts';

interface Rows<Item> extends AsyncDisposable {
  readonly name: string;
  readonly count: number;
  readonly groups: readonly RowGroup[];
  read(index: number): Promise<Item>;
}

/** Concatenates the rows of several sources; closing the result closes all of them. */
export function joinedRows<Item>(sources: readonly Rows<Item>[]): Rows<Item> {
  const starts: number[] = [];
  let count = 0;
  for (const source of sources) {
    starts.push(count);
    count += source.count;
  }
  const joined = {
    name: sources.map(({ name }) => name).join(', '),
    count,
    groups: sources.flatMap(({ groups }, i) =>
      groups.map(({ start, end }) => ({ start: start + (starts[i] as number), end: end + (starts[i] as number) })),
    ),
    async read(index: number): Promise<Item> {
      checkIndex(joined, index);
      const at = starts.findLastIndex((start) => start <= index);
      return (sources[at] as Rows<Item>).read(index - (starts[at] as number));
    },
    [Symbol.asyncDispose]: async () => {
      for (const source of sources) await source[Symbol.asyncDispose]();
    },
  };
  return joined;
}

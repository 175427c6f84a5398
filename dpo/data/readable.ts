import { TensorError } from '../../tensor/index.ts';
import { counted, listed } from '../messages.ts';
import { mapConcurrently } from './mapConcurrently.ts';

/** Rows that are read at a time: enough to keep the decoder's threads busy, few enough for memory. */
export const concurrency = 8;

/** What to do with unreadable rows. */
export interface SkipOptions {
  /** Limit on unreadable rows, which are skipped. */
  readonly maxSkipped: number;
  /** Called with a message for each. */
  readonly onSkipped?: ((message: string) => void) | undefined;
}

/** The error for a source with too many unreadable rows, or only such; lists them. */
export function brokenRows(
  source: { readonly name: string; readonly count: number },
  messages: readonly string[],
  maxSkipped: number,
): TensorError {
  const how =
    messages.length > maxSkipped
      ? `${counted(messages.length, 'row')} could not be read, and at most ${maxSkipped} may be skipped (maxSkipped)`
      : `none of ${counted(source.count, 'row')} can be read`;
  const shown = listed(messages, 10).map((message) => `\n  ${message}`);
  return new TensorError(`${source.name}: ${how}:${shown.join('')}`);
}

/**
 * Maps the readable rows of a source by `use`, in order.
 * @throws TensorError that lists the unreadable rows, where they are more than `maxSkipped`, or all
 */
export async function mapReadable<Item, Result>(
  source: { readonly name: string; readonly count: number; read(index: number): Promise<Item> },
  { maxSkipped, onSkipped }: SkipOptions,
  use: (item: Item) => Result,
): Promise<Result[]> {
  const broken: string[] = [];
  const indices = Array.from({ length: source.count }, (_, i) => i);
  const made = await mapConcurrently(indices, concurrency, async (index) => {
    try {
      return [use(await source.read(index))];
    } catch (error) {
      if (!(error instanceof TensorError)) throw error;
      broken.push(error.message);
      if (broken.length > maxSkipped) throw brokenRows(source, broken, maxSkipped);
      onSkipped?.(error.message);
      return [];
    }
  });
  if (broken.length > 0 && broken.length === source.count) throw brokenRows(source, broken, maxSkipped);
  return made.flat();
}

import { TensorError } from '../../tensor/index.ts';
import { counted, listed } from '../messages.ts';
import { mapConcurrently } from './mapConcurrently.ts';

/** Images that are decoded at a time: enough to keep the threads of the decoder busy, few enough for memory. */
export const concurrency = 8;

export interface SkipOptions {
  /** How many broken rows are passed over before this gives up. */
  readonly maxSkipped: number;
  /** Told what is wrong with each of them. */
  readonly onSkipped?: ((message: string) => void) | undefined;
}

/** The error that says which rows of a source are broken, where they are too many or all. */
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
 * What `use` makes of every row of a source that can be read, in order.
 * @throws TensorError naming the rows, when more than `maxSkipped`, or all of them, could not be read
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

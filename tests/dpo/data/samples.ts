import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodePng, type Image, type PreferencePair } from 'diffusion-dpo/dpo';
import { afterAll } from 'vitest';

/** A folder for a test file, removed at its end. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'diffusion-dpo-data-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An image whose pixels differ from each other and from those of other numbers. */
export function pattern(number: number, width = 8, height = 8): Image {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (i * 37 + number * 101 + ((i * number) >> 3)) % 256,
  );
  return { width, height, data };
}

/** An image of one colour. */
export const plain = (value: number, width = 4, height = 4): Image => ({
  width,
  height,
  data: new Uint8Array(width * height * 3).fill(value),
});

/** A pair that can be told from all others by its caption and by its images: plain ones of 2·i and 2·i + 1. */
export const numbered = (i: number) => ({ caption: `pair ${i}`, winner: plain(2 * i), loser: plain(2 * i + 1) });

/** Pairs in memory, in groups of some size; rows in `broken` cannot be read. */
export function pairsInMemory(
  count: number,
  groupSize = count,
  broken: ReadonlySet<number> = new Set(),
  error: new (message: string) => Error = Error,
) {
  return {
    name: 'memory',
    count,
    ties: 0,
    unlabelled: 0,
    groups: Array.from({ length: Math.ceil(count / groupSize) }, (_, i) => ({
      start: i * groupSize,
      end: Math.min(count, (i + 1) * groupSize),
    })),
    async read(index: number): Promise<PreferencePair> {
      if (broken.has(index)) throw new error(`memory, row ${index}: broken`);
      return { ...numbered(index), place: `memory, row ${index}` };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Writes files, given by path and content; images become PNG. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, string | Uint8Array | Image>>,
): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    const isRaw = typeof content === 'string' || content instanceof Uint8Array;
    await writeFile(path, isRaw ? content : encodePng(content));
  }
  return folder;
}

/** The first items of an endless stream. */
export async function take<T>(stream: AsyncIterable<T>, count: number): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

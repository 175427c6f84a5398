import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { attempt } from '../../tensor/index.node.ts';
import { FormatError } from '../../tensor/index.ts';
import { type JsonLine, parseJsonLines, valuesOf } from './jsonLines.ts';
import { readPicture } from './readPicture.node.ts';
import { type CaptionedSource, oneGroup, type PairSource } from './sources.ts';

async function readLines<Name extends string>(
  path: string,
  names: readonly Name[],
): Promise<readonly JsonLine<Name>[]> {
  const lines = parseJsonLines(await attempt('read', path, readFile(path)), path, names);
  if (lines.length === 0) throw new FormatError(`${path}: there are no lines`);
  return lines;
}

const rest = (path: string, count: number) => ({
  name: path,
  count,
  groups: oneGroup(count),
  [Symbol.asyncDispose]: async () => undefined,
});

/** Pairs of a JSONL file whose lines are {caption, winner, loser}; paths of pictures count from the file's folder. */
export async function openJsonLinesPairs(path: string): Promise<PairSource> {
  const lines = await readLines(path, ['caption', 'winner', 'loser']);
  return {
    ...rest(path, lines.length),
    ties: 0,
    unlabelled: 0,
    async read(index) {
      const line = lines[index] as (typeof lines)[number];
      const { caption, winner, loser } = valuesOf(line);
      const picture = (file: string) => readPicture(resolve(dirname(path), file), line.place);
      return { caption, winner: await picture(winner), loser: await picture(loser), place: line.place };
    },
  };
}

/** Captioned pictures of a JSONL file whose lines are {caption, image}; paths count from the file's folder. */
export async function openJsonLinesCaptioned(path: string): Promise<CaptionedSource> {
  const lines = await readLines(path, ['caption', 'image']);
  return {
    ...rest(path, lines.length),
    async read(index) {
      const line = lines[index] as (typeof lines)[number];
      const { caption, image } = valuesOf(line);
      return { caption, picture: await readPicture(resolve(dirname(path), image), line.place), place: line.place };
    },
  };
}

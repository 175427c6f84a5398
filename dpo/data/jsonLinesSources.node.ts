import { dirname, resolve } from 'node:path';
import { readWhole } from '../../tensor/index.node.ts';
import { FormatError } from '../../tensor/index.ts';
import { readImage } from './decodeImage.node.ts';
import { type JsonLine, parseJsonLines, valuesOf } from './jsonLines.ts';
import { type CaptionedSource, checkIndex, oneGroup, type PairSource } from './sources.ts';

async function readLines<Name extends string>(
  path: string,
  names: readonly Name[],
): Promise<readonly JsonLine<Name>[]> {
  const lines = parseJsonLines(await readWhole(path), path, names);
  if (lines.length === 0) throw new FormatError(`${path}: there are no lines`);
  return lines;
}

/** The part of a source that pairs and captioned images share. */
function linesSource<Name extends string>(path: string, lines: readonly JsonLine<Name>[]) {
  const source = {
    name: path,
    count: lines.length,
    groups: oneGroup(lines.length),
    [Symbol.asyncDispose]: async () => undefined,
  };
  return {
    source,
    lineAt(index: number): JsonLine<Name> {
      checkIndex(source, index);
      return lines[index] as JsonLine<Name>;
    },
  };
}

/** Pairs of a JSONL file with lines {caption, winner, loser}; image paths are relative to the file's folder. */
export async function openJsonLinesPairs(path: string): Promise<PairSource> {
  const lines = await readLines(path, ['caption', 'winner', 'loser']);
  const { source, lineAt } = linesSource(path, lines);
  return {
    ...source,
    ties: 0,
    unlabelled: 0,
    async read(index) {
      const line = lineAt(index);
      const { caption, winner, loser } = valuesOf(line);
      const image = (file: string) => readImage(resolve(dirname(path), file), line.place);
      return { caption, winner: await image(winner), loser: await image(loser), place: line.place };
    },
  };
}

/** Captioned images of a JSONL file with lines {caption, image}; image paths are relative to the file's folder. */
export async function openJsonLinesCaptioned(path: string): Promise<CaptionedSource> {
  const lines = await readLines(path, ['caption', 'image']);
  const { source, lineAt } = linesSource(path, lines);
  return {
    ...source,
    async read(index) {
      const line = lineAt(index);
      const { caption, image } = valuesOf(line);
      return { caption, image: await readImage(resolve(dirname(path), image), line.place), place: line.place };
    },
  };
}

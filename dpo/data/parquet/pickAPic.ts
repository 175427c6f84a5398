import { FormatError } from '../../../tensor/index.ts';
import type { ImageDecoder } from '../image.ts';
import { lastAtMost } from '../order.ts';
import { checkIndex, type PairSource, type RowGroup } from '../sources.ts';
import { groupCache, type Row } from './groupCache.ts';
import { checkColumns, type ParquetFile } from './parquetFile.ts';
import { imageOf, optionalTextOf, textOf } from './values.ts';

/** The columns of Pick-a-Pic that training reads. */
const needed = { caption: 'text', jpg_0: 'image', jpg_1: 'image', label_0: 'label', label_1: 'label' } as const;

/** The preferred image by a row's labels; `nonsense` for contradictory labels. */
const verdicts = ['first', 'second', 'tie', 'unlabelled', 'nonsense'] as const;
type Verdict = (typeof verdicts)[number];

function verdictOf({ label_0: first, label_1: second, has_label: hasLabel }: Row): Verdict {
  const [has, a, b] = [hasLabel, first, second].map((value) => Number(value ?? Number.NaN)) as [number, number, number];
  if (has === 0 || Number.isNaN(a) || Number.isNaN(b)) return 'unlabelled';
  if (a === 1 && b === 0) return 'first';
  if (a === 0 && b === 1) return 'second';
  return a === b && a >= 0 && a <= 1 ? 'tie' : 'nonsense';
}

/** The rows of a file with a preference, and the counts of those without. */
async function judge(file: ParquetFile) {
  const optional = (['has_label'] as const).filter((column) => file.columns.has(column));
  checkColumns(file, { ...needed, ...Object.fromEntries(optional.map((column) => [column, 'label'])) });
  const kept: number[] = [];
  const counts = { tie: 0, unlabelled: 0 };
  for (let group = 0; group + 1 < file.groupStarts.length; group++) {
    const [start, end] = file.groupStarts.slice(group, group + 2) as [number, number];
    const rows = await file.read(['label_0', 'label_1', ...optional], start, end);
    rows.forEach((row, i) => {
      const verdict = verdictOf(row);
      if (verdict === 'tie' || verdict === 'unlabelled') counts[verdict]++;
      else kept.push(start + i);
    });
  }
  return { rows: Uint32Array.from(kept), ...counts };
}

/**
 * Pairs of Parquet files with the columns of Pick-a-Pic (Kirstain et al. 2023). Opening reads the labels alone, which is cheap, and
 * leaves out ties and rows without a label. The groups of the source are the row groups of the files.
 */
export async function pickAPicPairs(
  name: string,
  files: readonly ParquetFile[],
  decode: ImageDecoder,
): Promise<Omit<PairSource, keyof AsyncDisposable>> {
  const judged: Awaited<ReturnType<typeof judge>>[] = [];
  for (const file of files) judged.push(await judge(file));
  /** Index of each file's first pair, followed by the count of pairs. */
  const starts = [0];
  for (const { rows } of judged) starts.push((starts.at(-1) as number) + rows.length);
  const count = starts.at(-1) as number;
  const models = files.every(({ columns }) => columns.has('model_0') && columns.has('model_1'));
  const rowOf = groupCache(files, [...Object.keys(needed), ...(models ? ['model_0', 'model_1'] : [])]);
  const sum = (of: 'tie' | 'unlabelled') => judged.reduce((total, counts) => total + counts[of], 0);
  return {
    name,
    count,
    ties: sum('tie'),
    unlabelled: sum('unlabelled'),
    groups: files.flatMap((file, i) => groupsOf(file, (judged[i] as { rows: Uint32Array }).rows, starts[i] as number)),
    async read(index) {
      checkIndex({ name, count }, index);
      const fileIndex = lastAtMost(starts.slice(0, -1), index);
      const row = (judged[fileIndex] as { rows: Uint32Array }).rows[index - (starts[fileIndex] as number)] as number;
      const place = `${(files[fileIndex] as ParquetFile).name}, row ${row}`;
      const values = await rowOf(fileIndex, row);
      const verdict = verdictOf(values);
      if (verdict === 'nonsense')
        throw new FormatError(
          `${place}: the labels are 1 and 0, 0 and 1, or equal, got ${values.label_0} and ${values.label_1}`,
        );
      const [winner, loser] = verdict === 'first' ? [0, 1] : [1, 0];
      const modelOf = (side: number) => optionalTextOf(values, `model_${side}`, place);
      const [made, other] = [modelOf(winner), modelOf(loser)];
      const image = (side: number) => decode(imageOf(values, `jpg_${side}`, place), `${place}, jpg_${side}`);
      return {
        caption: textOf(values, 'caption', place),
        winner: await image(winner),
        loser: await image(loser),
        place,
        ...(made !== undefined && other !== undefined && made !== '' && other !== ''
          ? { models: { winner: made, loser: other } }
          : {}),
      };
    },
  };
}

/** Row groups as ranges of pairs. `rows` are the rows of a file that are pairs; the first of them is pair `first`. */
function groupsOf({ groupStarts }: ParquetFile, rows: Uint32Array, first: number): RowGroup[] {
  const before = (row: number): number => {
    const at = lastAtMost(rows, row - 1);
    return rows.length > 0 && (rows[at] as number) < row ? at + 1 : 0;
  };
  return groupStarts
    .slice(1)
    .map((end, i) => ({ start: first + before(groupStarts[i] as number), end: first + before(end) }))
    .filter(({ start, end }) => end > start);
}

import { readFile, writeFile } from 'node:fs/promises';
import { encodePng, type PairSource } from 'diffusion-dpo/dpo';
import { openCaptioned, openPairs, writePickAPic } from 'diffusion-dpo/dpo/node';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { groupCache } from '../../../dpo/data/parquet/groupCache.ts';
import { numbered, pattern, plain, temporaryFolder, writeFiles } from './samples.ts';

const folder = await temporaryFolder();
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

async function pairsOf(source: PairSource) {
  const pairs = [];
  for (let i = 0; i < source.count; i++) pairs.push(await source.read(i));
  return pairs;
}

/** A file with some columns of Pick-a-Pic, as other programs write it. */
async function write(name: string, columnData: ColumnSource[], options: object = {}): Promise<string> {
  const path = `${folder}/${name}`;
  await writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData, ...options })));
  return path;
}

const labelled = (labels: readonly (readonly [number | null, number | null])[]): ColumnSource[] => [
  { name: 'caption', data: labels.map((_, i) => `pair ${i}`), type: 'STRING' },
  { name: 'jpg_0', data: labels.map((_, i) => encodePng(plain(2 * i))), type: 'BYTE_ARRAY' },
  { name: 'jpg_1', data: labels.map((_, i) => encodePng(plain(2 * i + 1))), type: 'BYTE_ARRAY' },
  { name: 'label_0', data: labels.map(([label]) => label), type: 'DOUBLE' },
  { name: 'label_1', data: labels.map(([, label]) => label), type: 'DOUBLE' },
];

describe('writePickAPic', () => {
  const pairs = upTo(25).map((i) => ({
    ...numbered(i),
    caption: `caption ${i >> 1} — ünï`,
    tie: i % 5 === 3,
    models: { winner: 'good', loser: 'bad' },
  }));
  const path = `${folder}/written.parquet`;

  test('what is written is read again: the same pairs, winner first, without the ties', async () => {
    await writePickAPic(pairs, path, { rowGroup: 10 });
    await using source = await openPairs(path);
    expect(source).toMatchObject({ name: path, count: 20, ties: 5, unlabelled: 0 });
    expect(source.groups).toEqual([
      { start: 0, end: 8 },
      { start: 8, end: 16 },
      { start: 16, end: 20 },
    ]);
    const expected = pairs.filter(({ tie }) => !tie);
    const read = await pairsOf(source);
    expect(read.map(({ caption, winner, loser, models }) => ({ caption, winner, loser, models }))).toEqual(
      expected.map(({ caption, winner, loser, models }) => ({ caption, winner, loser, models })),
    );
    expect(read[3]?.place).toBe(`${path}, row 4`);
  });

  test('has the columns and types of Pick-a-Pic v2, and values that belong together', async () => {
    await writePickAPic(pairs, path, { rowGroup: 10 });
    const file = await asyncBufferFromFile(path);
    const { schema } = await parquetMetadataAsync(file);
    const text = ['BYTE_ARRAY', 'UTF8'];
    expect(schema.slice(1).map(({ name, type, converted_type }) => [name, type, converted_type])).toEqual(
      Object.entries({
        are_different: ['BOOLEAN'],
        best_image_uid: text,
        caption: text,
        created_at: ['INT64'],
        has_label: ['BOOLEAN'],
        image_0_uid: text,
        image_0_url: text,
        image_1_uid: text,
        image_1_url: text,
        jpg_0: ['BYTE_ARRAY'],
        jpg_1: ['BYTE_ARRAY'],
        label_0: ['DOUBLE'],
        label_1: ['DOUBLE'],
        model_0: text,
        model_1: text,
        ranking_id: ['INT64'],
        user_id: ['INT64'],
        num_example_per_prompt: ['INT64'],
      }).map(([name, [type, converted]]) => [name, type, converted]),
    );
    expect(schema.find(({ name }) => name === 'created_at')?.logical_type).toMatchObject({
      type: 'TIMESTAMP',
      unit: 'NANOS',
    });
    const rows = await parquetReadObjects({ file, compressors, utf8: false });
    rows.forEach((row, i) => {
      expect(row.num_example_per_prompt).toBe(i === 24 ? 1n : 2n);
      expect(row.ranking_id).toBe(BigInt(i));
      if (pairs[i]?.tie) expect([row.label_0, row.label_1, row.best_image_uid]).toEqual([0.5, 0.5, 'tie']);
      else {
        expect(row.label_0 + row.label_1).toBe(1);
        expect(row.best_image_uid).toBe(row.label_0 === 1 ? row.image_0_uid : row.image_1_uid);
        expect(row.label_0 === 1 ? row.model_0 : row.model_1).toBe('good');
      }
    });
    // The winner is as often the second as the first.
    const first = rows.filter(({ label_0 }) => label_0 === 1).length;
    expect(first).toBeGreaterThan(3);
    expect(first).toBeLessThan(17);
  });

  test('the same pairs make the same file, and the old one stays until the new one is complete', async () => {
    await writePickAPic(pairs.slice(0, 5), path);
    const first = await readFile(path);
    await expect(
      writePickAPic([numbered(1), { ...numbered(2), winner: { width: 3, height: 3, data: new Uint8Array(1) } }], path),
    ).rejects.toThrow('3 × 3');
    expect(await readFile(path)).toEqual(first);
    await writePickAPic(pairs.slice(0, 5), path);
    expect(await readFile(path)).toEqual(first);
    await expect(writePickAPic(pairs, `${folder}/nowhere/x.parquet`)).rejects.toThrow(
      'there is no such file or folder',
    );
    await expect(writePickAPic([], path)).rejects.toThrow('no pairs');
    await expect(writePickAPic(pairs, path, { rowGroup: 0 })).rejects.toThrow('rowGroup');
  });
});

describe('Pick-a-Pic files', () => {
  test('winner first; ties and rows without a label are counted and left out', async () => {
    const labels = [
      [1, 0],
      [0, 1],
      [0.5, 0.5],
      [0, 1],
      [1, 0],
      [0, 0],
    ] as const;
    const hasLabel = [true, true, true, false, true, true];
    const path = await write('labels.parquet', [
      ...labelled(labels),
      { name: 'has_label', data: hasLabel, type: 'BOOLEAN' },
    ]);
    await using source = await openPairs(path);
    expect(source).toMatchObject({ count: 3, ties: 2, unlabelled: 1 });
    const read = await pairsOf(source);
    expect(read.map(({ caption, winner, loser }) => [caption, winner.data[0], loser.data[0]])).toEqual([
      ['pair 0', 0, 1],
      ['pair 1', 3, 2],
      ['pair 4', 8, 9],
    ]);
  });

  test('several files, or a folder of them, are one source', async () => {
    const several = await writeFiles(`${folder}/several`, { 'notes.txt': 'not data' });
    for (const part of [0, 1, 2])
      await writePickAPic(
        upTo(4).map((i) => numbered(4 * part + i)),
        `${several}/train-0000${part}.parquet`,
        { rowGroup: 3 },
      );
    await using source = await openPairs(several);
    expect(source.groups.map(({ start, end }) => [start, end])).toEqual([
      [0, 3],
      [3, 4],
      [4, 7],
      [7, 8],
      [8, 11],
      [11, 12],
    ]);
    expect((await pairsOf(source)).map(({ caption }) => caption)).toEqual(upTo(12).map((i) => `pair ${i}`));
    await using two = await openPairs([`${several}/train-00002.parquet`, `${several}/train-00000.parquet`]);
    expect((await pairsOf(two)).map(({ caption }) => caption)).toEqual(
      [8, 9, 10, 11, 0, 1, 2, 3].map((i) => `pair ${i}`),
    );
  });

  test('without dictionary, compressed by others, captions as bytes, labels as whole numbers', async () => {
    const columns = labelled([
      [1, 0],
      [0, 1],
    ]).map((column) => {
      if (column.name === 'caption')
        return { ...column, type: 'BYTE_ARRAY' as const, data: ['ünï', 'b'].map((t) => new TextEncoder().encode(t)) };
      return column.name.startsWith('label') ? { ...column, type: 'INT32' as const } : column;
    });
    for (const codec of ['UNCOMPRESSED', 'SNAPPY'] as const) {
      await using source = await openPairs(await write(`${codec}.parquet`, columns, { codec }));
      expect((await pairsOf(source)).map(({ caption }) => caption)).toEqual(['ünï', 'b']);
    }
  });

  test('a row group is read once for rows that follow each other, and two groups are kept', async () => {
    const reads: number[] = [];
    const file = {
      name: 'fake',
      rows: 30,
      groupStarts: [0, 10, 20, 30],
      columns: new Map(),
      async read(_: readonly string[], start: number, end: number) {
        reads.push(start);
        return upTo(end - start).map((i) => ({ row: start + i }));
      },
    };
    const rowOf = groupCache([file], ['row']);
    const rows = (numbers: readonly number[]) => Promise.all(numbers.map(async (row) => (await rowOf(0, row)).row));
    const order = [3, 9, 0, 12, 4, 19, 10];
    expect(await rows(order)).toEqual(order);
    expect(reads).toEqual([0, 10]);
    expect(await rows([25, 11, 3])).toEqual([25, 11, 3]);
    expect(reads).toEqual([0, 10, 20, 0]);
  });

  test('an empty set has no groups', async () => {
    await using source = await openPairs(await write('ties.parquet', labelled([[0.5, 0.5]])));
    expect(source).toMatchObject({ count: 0, ties: 1, groups: [] });
  });

  test('what is broken in a row is told with its place, and does not cost the others', async () => {
    const columns = labelled([
      [1, 0],
      [1, 1.5],
      [1, 0],
      [1, 0],
      [0, 1],
    ]);
    const jpegs = columns[2]?.data as Uint8Array[];
    const path = await write('rows.parquet', [
      { ...(columns[0] as ColumnSource), data: ['pair 0', 'pair 1', null, 'pair 3', 'pair 4'] },
      columns[1] as ColumnSource,
      { ...(columns[2] as ColumnSource), data: [jpegs[0], jpegs[1], jpegs[2], jpegs[3]?.subarray(0, 40), null] },
      ...columns.slice(3),
    ]);
    await using source = await openPairs(path);
    expect(source.count).toBe(5);
    expect((await source.read(0)).caption).toBe('pair 0');
    await expect(source.read(1)).rejects.toThrow('rows.parquet, row 1: the labels are 1 and 0');
    await expect(source.read(2)).rejects.toThrow('rows.parquet, row 2: caption is empty');
    await expect(source.read(3)).rejects.toThrow('rows.parquet, row 3, jpg_1: ');
    await expect(source.read(4)).rejects.toThrow('rows.parquet, row 4: jpg_1 is empty');
    await expect(source.read(5)).rejects.toThrow('0 to 4');
  });

  test('columns that are missing or of another type are all named', async () => {
    const columns = labelled([[1, 0]]);
    const missing = await write('missing.parquet', columns.slice(0, 2));
    await expect(openPairs(missing)).rejects.toThrow(
      /jpg_1 \(image\) is missing; .*label_0.*label_1.*its columns: caption, jpg_0/,
    );
    const wrong = await write('wrong.parquet', [
      { name: 'caption', data: [5], type: 'INT32' },
      ...columns.slice(1, 4),
      { name: 'label_1', data: ['no'], type: 'STRING' },
    ]);
    await expect(openPairs(wrong)).rejects.toThrow(
      /caption must be text, but is INT32; .*label_1 must be label, but is BYTE_ARRAY/,
    );
  });

  test('a file that is cut short, or none, is refused with its name', async () => {
    const path = `${folder}/whole.parquet`;
    await writePickAPic(
      upTo(12).map((i) => ({ ...numbered(i), winner: pattern(i, 24, 24) })),
      path,
    );
    const bytes = await readFile(path);
    for (const length of [0, 3, 8, 100, bytes.length >> 1, bytes.length - 1]) {
      await writeFile(`${folder}/cut.parquet`, bytes.subarray(0, length));
      await expect(openPairs(`${folder}/cut.parquet`), `${length} bytes`).rejects.toThrow(
        /cut\.parquet.*(cut short|no Parquet)/,
      );
    }
    await expect(openPairs(`${folder}/none.parquet`)).rejects.toThrow('there is no such file');
    await writeFiles(folder, { 'text.parquet': 'this is text, and long enough to hold a footer' });
    await expect(openPairs(`${folder}/text.parquet`)).rejects.toThrow('no Parquet file');
  });

  test('wrong bytes within a row group are told with file and rows when they are read', async () => {
    const path = `${folder}/damaged.parquet`;
    await writePickAPic(
      upTo(12).map((i) => ({ ...numbered(i), winner: pattern(i, 24, 24) })),
      path,
    );
    const bytes = await readFile(path);
    const { row_groups } = await parquetMetadataAsync(await asyncBufferFromFile(path));
    const at = Number(
      row_groups[0]?.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === 'jpg_0')?.meta_data
        ?.data_page_offset,
    );
    bytes.fill(0xff, at, at + 400);
    await writeFile(path, bytes);
    await using source = await openPairs(path);
    await expect(source.read(0)).rejects.toThrow(/damaged\.parquet: cannot read .*jpg_0.* of rows 0 to 11/);
  });

  test('an empty folder is refused', async () => {
    const empty = await writeFiles(`${folder}/empty`, { 'readme.txt': 'nothing' });
    await expect(openPairs(empty)).rejects.toThrow('no *.parquet files');
    await expect(openPairs([])).rejects.toThrow('no path of data');
  });
});

describe('captioned images', () => {
  const columns = (column: string): ColumnSource[] => [
    { name: 'caption', data: ['a', 'b', 'c'], type: 'STRING' },
    { name: column, data: [0, 1, 2].map((i) => encodePng(plain(i))), type: 'BYTE_ARRAY' },
  ];

  test.each(['jpg', 'image'])('are read from a column %s', async (column) => {
    await using source = await openCaptioned(await write(`${column}.parquet`, columns(column), { rowGroupSize: 2 }));
    expect(source).toMatchObject({
      count: 3,
      groups: [
        { start: 0, end: 2 },
        { start: 2, end: 3 },
      ],
    });
    expect(await source.read(2)).toMatchObject({
      caption: 'c',
      image: plain(2),
      place: expect.stringContaining('row 2'),
    });
  });

  test('without images or captions are refused', async () => {
    await expect(openCaptioned(await write('pic.parquet', columns('pic')))).rejects.toThrow('no column jpg or image');
    await expect(openCaptioned(await write('nocap.parquet', columns('jpg').slice(1)))).rejects.toThrow(
      'caption (text) is missing',
    );
  });
});

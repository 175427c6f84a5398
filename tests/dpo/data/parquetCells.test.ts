import { writeFile } from 'node:fs/promises';
import { encodePng, inspectPairs, pairBatches } from 'diffusion-dpo/dpo';
import { openCaptioned, openPairs } from 'diffusion-dpo/dpo/node';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { plain, take, temporaryFolder } from './samples.ts';

const folder = await temporaryFolder();
const given = new URL('./cases/', import.meta.url).pathname;

/** Pick-a-Pic rows with these columns beside caption and images; image i of a row is of one grey, 2 · row + i. */
async function rowsWith(name: string, more: readonly ColumnSource[]): Promise<string> {
  const count = more[0]?.data.length ?? 0;
  const rows = Array.from({ length: count }, (_, i) => i);
  const path = `${folder}/${name}.parquet`;
  const columnData: ColumnSource[] = [
    { name: 'caption', data: rows.map((i) => `pair ${i}`), type: 'STRING' },
    { name: 'jpg_0', data: rows.map((i) => encodePng(plain(2 * i))), type: 'BYTE_ARRAY' },
    { name: 'jpg_1', data: rows.map((i) => encodePng(plain(2 * i + 1))), type: 'BYTE_ARRAY' },
    ...more,
  ];
  await writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData })));
  return path;
}

const labels = (
  first: readonly unknown[],
  second: readonly unknown[],
  type: NonNullable<ColumnSource['type']>,
): ColumnSource[] => [
  { name: 'label_0', data: [...first], type },
  { name: 'label_1', data: [...second], type },
];

/** The grey of the winner of each pair, and the counts of what was left out. */
async function verdicts(path: string) {
  await using source = await openPairs(path);
  const winners = [];
  for (let i = 0; i < source.count; i++) winners.push((await source.read(i)).winner.data[0]);
  return { winners, ties: source.ties, unlabelled: source.unlabelled };
}

describe('labels', () => {
  test.each([
    ['null', null],
    ['NaN', Number.NaN],
  ])('that are %s are counted and left out, without has_label and with it', async (name, none) => {
    const columns = labels([1, none, none, 0, 1, none], [0, none, 1, 1, none, 0], 'DOUBLE');
    const expected = { winners: [0, 7], ties: 0, unlabelled: 4 };
    expect(await verdicts(await rowsWith(`labels-${name}`, columns))).toEqual(expected);
    const has: ColumnSource = { name: 'has_label', data: new Array(6).fill(true), type: 'BOOLEAN' };
    expect(await verdicts(await rowsWith(`labels-${name}-has`, [...columns, has]))).toEqual(expected);
  });

  test('that are missing for many rows do not end a stream', async () => {
    const none = new Array(30).fill(null);
    const path = await rowsWith('many', labels([...none, 1, 0], [...none, 0, 1], 'DOUBLE'));
    await using source = await openPairs(path);
    expect(source).toMatchObject({ count: 2, unlabelled: 30 });
    expect((await inspectPairs(source)).broken).toEqual([]);
    const options = { size: 2, crop: 'center', flip: false, captionDropout: 0, batchSize: 2, seed: 0 } as const;
    for (const { skipped } of await take(pairBatches(source, options), 5)) expect(skipped).toEqual([]);
  });

  test('may be truth values, and has_label a whole number', async () => {
    const truth = labels([true, false, true, false, null], [false, true, true, false, true], 'BOOLEAN');
    expect(await verdicts(await rowsWith('truth', truth))).toEqual({ winners: [0, 3], ties: 2, unlabelled: 1 });
    for (const type of ['INT32', 'INT64'] as const) {
      const whole = (values: readonly (number | null)[]) =>
        values.map((value) => (type === 'INT64' && value !== null ? BigInt(value) : value));
      const columns = labels(whole([1, 1, 0, 0]), whole([0, 0, 1, 0]), type);
      const has: ColumnSource = { name: 'has_label', data: whole([1, 0, null, 1]), type };
      const path = await rowsWith(`whole-${type}`, [...columns, has]);
      expect(await verdicts(path)).toEqual({ winners: [0, 5], ties: 1, unlabelled: 1 });
    }
  });

  test('of a file that another program wrote as BOOLEAN', async () => {
    await using source = await openPairs(`${given}bool-labels.parquet`);
    expect(source.count).toBeGreaterThan(0);
    for (let i = 0; i < source.count; i++) expect((await source.read(i)).caption).not.toBe('');
  });
});

describe('structures {bytes, path}', () => {
  test('are images of pairs and of captions', async () => {
    await using pairs = await openPairs(`${given}duckdb-struct.parquet`);
    expect(pairs.count).toBeGreaterThan(0);
    for (let i = 0; i < pairs.count; i++) expect((await pairs.read(i)).winner.width).toBeGreaterThan(0);
    await using captioned = await openCaptioned(`${given}captioned-struct.parquet`);
    expect(captioned.count).toBeGreaterThan(0);
    for (let i = 0; i < captioned.count; i++) expect((await captioned.read(i)).image.width).toBeGreaterThan(0);
  });

  test('without bytes are told with the file that they name', async () => {
    const path = `${folder}/paths.parquet`;
    const cells = [
      { bytes: encodePng(plain(5)), path: null },
      { bytes: null, path: 'a/b.png' },
      { bytes: null, path: null },
      null,
    ];
    await writeFile(
      path,
      new Uint8Array(
        parquetWriteBuffer({
          columnData: [
            { name: 'caption', data: ['a', 'b', 'c', 'd'] },
            { name: 'image', data: cells },
          ],
          schema: [
            { name: 'root', num_children: 2 },
            { name: 'caption', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
            { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
            { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
            { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
          ],
        }),
      ),
    );
    await using source = await openCaptioned(path);
    expect((await source.read(0)).image).toEqual(plain(5));
    await expect(source.read(1)).rejects.toThrow(/paths\.parquet, row 1: image names the file "a\/b\.png"/);
    await expect(source.read(2)).rejects.toThrow(/row 2: image(\.bytes)? is empty/);
    await expect(source.read(3)).rejects.toThrow(/row 3: image(\.bytes)? is empty/);
  });
});

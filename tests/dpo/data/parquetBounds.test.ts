import { fromBytes } from 'diffusion-dpo/tensor';
import { parquetMetadata } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { expect, test } from 'vitest';
import { openParquet } from '../../../dpo/data/parquet/parquetFile.ts';

const bytes = new Uint8Array(
  // Texts of 100,000 equal letters, which differ, so that none is stored once for all.
  parquetWriteBuffer({
    columnData: [
      {
        name: 'text',
        data: Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(1e5, 'x')),
        encoding: 'PLAIN',
        type: 'STRING',
      },
    ],
  }),
);
const fileOf = (content: Uint8Array) => fromBytes(content, 'some.parquet');

test('pages that inflate to more than the limit are refused before they do, with both numbers', async () => {
  expect(bytes.length).toBeLessThan(2e5);
  const large = await openParquet(fileOf(bytes));
  expect(await large.read(['text'], 0, 20)).toHaveLength(20);
  const small = await openParquet(fileOf(bytes), 1.5e6);
  await expect(small.read(['text'], 0, 20)).rejects.toThrow(
    /some\.parquet: cannot read text of rows 0 to 19: its pages inflate to 2\d{6} bytes or more, and the most is 1500000/,
  );
});

test('what is asked of a decompressor counts, whatever the page holds', async () => {
  const asked: number[] = [];
  const original = compressors.SNAPPY as (input: Uint8Array, length: number) => Uint8Array;
  compressors.SNAPPY = (input, length) => {
    asked.push(length);
    return original(input, length);
  };
  try {
    const file = await openParquet(fileOf(bytes), 1.5e6);
    await expect(file.read(['text'], 0, 20)).rejects.toThrow('the most is 1500000');
    expect(asked.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(1.5e6);
  } finally {
    compressors.SNAPPY = original;
  }
});

test('a row group of more rows than any program writes is refused with their number', async () => {
  // 20 rows are the varint 40 in Thrift's compact protocol; the footer says it for the file, the column and the group.
  const footer = bytes.length - 8 - new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
  for (let at = footer; at < bytes.length - 8; at++) {
    if (bytes[at] !== 40) continue;
    const claimed = Uint8Array.from([
      ...bytes.subarray(0, at),
      0x80,
      0xa8,
      0xd6,
      0xb9,
      0x07,
      ...bytes.subarray(at + 1),
    ]);
    new DataView(claimed.buffer).setUint32(claimed.length - 8, claimed.length - 8 - footer, true);
    const rows = (() => {
      try {
        return parquetMetadata(claimed.buffer).row_groups[0]?.num_rows;
      } catch {
        return undefined;
      }
    })();
    if (rows !== 1_000_000_000n) continue;
    await expect(openParquet(fileOf(claimed))).rejects.toThrow(
      'a row group of 1000000000 rows cannot be read, the most is 16777216',
    );
    return;
  }
  expect.unreachable('the number of rows was not found in the footer');
});

import { appendFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attempt, makeFolder, readWholeIfThere, replaceText } from '../../../tensor/index.node.ts';
import { decodeLines, parseJson } from '../../../tensor/index.ts';

/** A JSONL file that rows are appended to. */
export interface RowLog<Row> {
  /** All rows so far, those of earlier calls included. */
  readonly rows: readonly Row[];
  append(row: Row): Promise<void>;
}

/** Opens the log of a run that resumes after step `from`; removes the rows of later steps, which will be made again. */
export async function openRowLog<Row extends { readonly step: number }>(
  path: string,
  from: number,
): Promise<RowLog<Row>> {
  await attempt('write', path, makeFolder(dirname(path)));
  const rows = (await readRows<Row>(path)).filter(({ step }) => step <= from);
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await replaceText(path, text);
  return {
    rows,
    async append(row) {
      rows.push(row);
      await attempt('write', path, appendFile(path, `${JSON.stringify(row)}\n`));
    },
  };
}

/** Reads the rows of a log, none if there is no file. An incomplete last line is left out. */
export async function readRows<Row>(path: string): Promise<Row[]> {
  const bytes = (await readWholeIfThere(path)) ?? new Uint8Array();
  const complete = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
  return decodeLines(complete, path).map(
    (line, i) => parseJson(new TextEncoder().encode(line), `${path}, line ${i + 1}`) as Row,
  );
}

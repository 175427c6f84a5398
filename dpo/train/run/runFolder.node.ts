import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt } from '../../../tensor/index.node.ts';
import type { MetricsRow } from '../metrics.ts';
import { eventFileHead, scalarsRecord } from './eventFile.ts';
import { openRowLog, type RowLog } from './rowLog.node.ts';

export const metricsName = 'metrics.jsonl';
const ownEvents = '.diffusion-dpo';
const isOwnEventFile = (name: string): boolean => name.startsWith('events.out.tfevents.') && name.endsWith(ownEvents);

/** A row's numbers by tags that TensorBoard groups: `train/loss`. */
function scalarsOf(row: MetricsRow): Record<string, number> {
  const { step: _, buckets, validation, ...means } = row;
  const named = (group: string, values: object): [string, number][] =>
    Object.entries(values).flatMap(([name, value]) => (typeof value === 'number' ? [[`${group}/${name}`, value]] : []));
  return Object.fromEntries([
    ...named('train', means),
    ...named('validation', validation ?? {}),
    ...buckets.flatMap(({ from, to, ...bucket }) => named(`timesteps ${from}–${to}`, bucket)),
  ]);
}

/**
 * Opens the log of a run that resumes after step `from`: `metrics.jsonl` and an event file for TensorBoard. Rows of later steps
 * are removed; the event file is written anew with the others.
 */
export async function openRunLog(
  folder: string,
  from: number,
  { tensorboard }: { readonly tensorboard: boolean },
): Promise<RowLog<MetricsRow>> {
  const log = await openRowLog<MetricsRow>(join(folder, metricsName), from);
  if (!tensorboard) return log;
  for (const name of (await attempt('read', folder, readdir(folder))).filter(isOwnEventFile))
    await attempt('write', folder, rm(join(folder, name)));
  const now = (): number => Date.now() / 1000;
  const recordOf = (row: MetricsRow): Uint8Array => scalarsRecord(now(), row.step, scalarsOf(row));
  const events = join(folder, `events.out.tfevents.${Math.floor(now())}${ownEvents}`);
  const head = [eventFileHead(now()), ...log.rows.map(recordOf)];
  await attempt('write', events, writeFile(events, Buffer.concat(head)));
  return {
    rows: log.rows,
    async append(row) {
      await log.append(row);
      await attempt('write', events, appendFile(events, recordOf(row)));
    },
  };
}

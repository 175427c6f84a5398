import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { attempt, makeFolder, replaceText } from '../../../tensor/index.node.ts';
import type { Report } from './report.ts';
import { type PlottingLibrary, reportHtml } from './reportHtml.ts';

/** Reads uPlot's script and style sheet from the installed package. */
export async function plottingLibrary(): Promise<PlottingLibrary> {
  const { resolve } = createRequire(import.meta.url);
  const file = (name: string): Promise<string> => readFile(resolve(`uplot/dist/${name}`), 'utf8');
  const [script, style] = await Promise.all([file('uPlot.iife.min.js'), file('uPlot.min.css')]);
  return { script, style };
}

/** Writes a report as one HTML file, creating its folder; an existing file is replaced atomically. */
export async function writeReport(path: string, report: Report): Promise<void> {
  const page = reportHtml(report, await plottingLibrary());
  await attempt('write', path, makeFolder(dirname(path)));
  await replaceText(path, page);
}

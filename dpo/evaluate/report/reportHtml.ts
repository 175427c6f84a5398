import { drawCurves, validLanguage } from './drawCurves.ts';
import { html, jsonMarkup, Markup } from './html.ts';
import { type Curve, smoothed } from './metrics.ts';
import type { Report } from './report.ts';
import { curveSection, definitionList, figuresTable, gridSection } from './sections.ts';
import { style } from './style.ts';

/** uPlot, as the text of its script for pages (`uPlot.iife.min.js`) and of its style sheet (`uPlot.min.css`). */
export interface PlottingLibrary {
  readonly script: string;
  readonly style: string;
}

/**
 * Renders a report as one self-contained HTML page: figures with their intervals, images, curves, definitions and the
 * configuration. In Node, `writeReport` finds the plotting library itself.
 */
export function reportHtml(report: Report, plotting: PlottingLibrary): string {
  const { title, summary, figures, curves, grids, definitions, config } = report;
  const sections = [
    figures.length > 0 && html`<section><h2>Figures</h2>${figuresTable(figures)}</section>`,
    ...grids.map(gridSection),
    curves.length > 0 && html`<section><h2>Curves</h2><div class="curves">${curves.map(curveSection)}</div></section>`,
    Object.keys(definitions).length > 0 && html`<section><h2>Definitions</h2>${definitionList(definitions)}</section>`,
    html`<section><h2>Configuration</h2><details><summary>All settings of this run</summary><pre tabindex="0">${JSON.stringify(config, undefined, 2)}</pre></details></section>`,
  ];
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Markup(plotting.style)}${new Markup(style)}</style>
</head>
<body>
<header><h1>${title}</h1><p class="summary">${summary}</p></header>
<main>
${sections.filter((section) => section !== false)}
</main>
<script type="application/json" id="curves">${jsonMarkup(curves.map(linesOf))}</script>
<script>${new Markup(validLanguage)}</script>
<script>${new Markup(plotting.script)}</script>
<script>${new Markup(drawCurves)}</script>
</body>
</html>
`;
  return page.text;
}

/** Lines with more values than this are smoothed. */
const mostPoints = 80;

/** A curve as data for the script `drawCurves`. A line with many values becomes a faint line and its moving average. */
function linesOf(curve: Curve) {
  const { axis = 'step', at, series, reference, logarithmic = false, axisIsLogarithmic = false } = curve;
  const lines = series.flatMap(({ label, values }, i) => {
    const line = { label, colour: 1 + (i % 3), values };
    if (values.filter((value) => value !== null).length <= mostPoints) return [line];
    return [
      { ...line, faint: true },
      { ...line, values: smoothed(values, Math.ceil(at.length / 50)) },
    ];
  });
  const across = reference && [
    { label: reference.label, colour: 0, dash: true, values: at.map(() => reference.value) },
  ];
  return { axis, at, logarithmic, axisIsLogarithmic, lines: [...lines, ...(across ?? [])] };
}

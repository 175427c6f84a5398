import type { Figure } from '../figure.ts';
import { formatFigure, formatNumber } from './format.ts';
import { html, type Markup } from './html.ts';
import type { Curve } from './metrics.ts';
import type { ReportFigure, ReportGrid, ReportImage } from './report.ts';

const isFigure = (value: Figure | number): value is Figure => typeof value !== 'number';

const columnsOf = (figures: readonly ReportFigure[]): string[] => [
  ...new Set(figures.flatMap(({ values }) => Object.keys(values))),
];

/** The table of figures, with a drawing of each row's intervals on one scale. */
export function figuresTable(figures: readonly ReportFigure[]): Markup {
  const columns = columnsOf(figures);
  return html`<div class="wide"><table class="figures">
<thead><tr><th scope="col">Figure</th>${columns.map((column) => html`<th scope="col" class="number">${column}</th>`)}<th scope="col"><span class="unseen">Intervals</span></th></tr></thead>
<tbody>${figures.map((figure) => figureRow(figure, columns))}</tbody>
</table></div>`;
}

const arrows = { higher: '↑', lower: '↓' } as const;

function figureRow({ name, definition, values, better }: ReportFigure, columns: readonly string[]): Markup {
  const arrow =
    better && html` <abbr title="${better} is better" aria-label="${better} is better">${arrows[better]}</abbr>`;
  return html`<tr><th scope="row"><span class="name">${name}${arrow}</span><span class="note">${definition}</span></th>
${columns.map((column) => html`<td class="number">${figureCell(values[column])}</td>`)}
<td class="bars">${intervalBars(columns.map((column) => values[column]))}</td></tr>
`;
}

function figureCell(value: Figure | number | undefined): Markup {
  if (value === undefined) return html`<span class="value">–</span>`;
  if (!isFigure(value)) return html`<span class="value">${formatNumber(value)}</span>`;
  const { value: middle, interval } = formatFigure(value);
  return html`<span class="value">${middle}</span><span class="interval">${interval}</span>`;
}

/** Draws intervals one below the other as lines with a dot at the value, hidden from screen readers: the table has the numbers. */
function intervalBars(values: readonly (Figure | number | undefined)[]): Markup {
  const figures = values.filter((value) => value !== undefined && isFigure(value));
  const [low, high] = [Math.min(...figures.map((one) => one.low)), Math.max(...figures.map((one) => one.high))];
  if (figures.length === 0 || !(high > low)) return html``;
  const [width, row] = [120, 12];
  const place = (value: number): string => (6 + ((value - low) / (high - low)) * (width - 12)).toFixed(1);
  const bars = values.map((value, i) => {
    if (value === undefined || !isFigure(value)) return undefined;
    const y = (i + 0.5) * row;
    return html`<g class="series${i % 4}"><line x1="${place(value.low)}" x2="${place(value.high)}" y1="${y}" y2="${y}"/><circle cx="${place(value.value)}" cy="${y}" r="3.5"/></g>`;
  });
  const height = values.length * row;
  return html`<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${bars}</svg>`;
}

/** The element that the script draws a diagram into, with a description for screen readers. */
export function curveSection(curve: Curve, i: number): Markup {
  return html`<figure class="curve"><figcaption><span class="name">${curve.title}</span>${curve.note && html`<span class="note">${curve.note}</span>`}</figcaption>
<div class="plot" data-curve="${i}" role="img" aria-label="${describeCurve(curve)}"></div></figure>
`;
}

/** Describes a curve by the first and last value of each line. */
export function describeCurve({ title, axis = 'step', at, series }: Curve): string {
  if (at.length === 0) return `${title}: no values`;
  const lines = series.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    const [first, last] = [known[0], known.at(-1)];
    if (first === undefined || last === undefined) return `${label} has no values`;
    return `${label} from ${formatNumber(first)} to ${formatNumber(last)}`;
  });
  return `${title}, ${axis} ${formatNumber(at[0] as number)} to ${formatNumber(at.at(-1) as number)}: ${lines.join(', ')}`;
}

/** Images in columns. */
export function gridSection({ title, note, columns, rows }: ReportGrid): Markup {
  const head = html`<span class="heads" aria-hidden="true">${columns.map((column) => html`<span>${column}</span>`)}</span>`;
  const cells = rows.map(
    ({ caption, images }) => html`<figure class="sample">${head}<span class="images">${images.map(
      (image, i) => html`<img src="${dataUrl(image)}" alt="${caption}, ${columns[i]}" loading="lazy">`,
    )}</span><figcaption>${caption}</figcaption></figure>
`,
  );
  return html`<section><h2>${title}</h2>${note && html`<p class="note">${note}</p>`}<div class="samples" style="--columns: ${columns.length}">
${cells}</div></section>`;
}

/** An image as a data URL. */
export function dataUrl({ bytes, type = 'image/png' }: ReportImage): string {
  let binary = '';
  // In pieces, since the number of arguments of a call is limited.
  for (let from = 0; from < bytes.length; from += 4096)
    binary += String.fromCharCode(...bytes.subarray(from, from + 4096));
  return `data:${type};base64,${btoa(binary)}`;
}

export const definitionList = (definitions: Readonly<Record<string, string>>): Markup =>
  html`<dl>${Object.entries(definitions).map(
    ([term, definition]) => html`<div><dt>${term}</dt><dd>${definition}</dd></div>`,
  )}</dl>`;

/**
 * The script that runs before uPlot, as text. uPlot passes the browser's language to Intl when it is loaded; with the system
 * language "C" or "POSIX", some browsers report a language that Intl refuses. The script then sets it to English.
 */
export const validLanguage = `
try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' });
}
`;

/**
 * The script of a report, as text. It draws each curve of the page's JSON with uPlot in the colours of the page's style, and
 * redraws when the colour scheme or the width changes. Lines marked as faint are drawn thin, pale and without a legend entry.
 */
export const drawCurves = `
const curves = JSON.parse(document.getElementById('curves').textContent);
const places = [...document.querySelectorAll('.plot')];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const short = (value) => {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  return text.replace('e+', 'e').replaceAll('-', '−');
};
// Most ticks of a logarithmic scale have no label.
const labels = (_, ticks) => ticks.map((tick) => (tick === null ? '' : short(tick)));
let plots = [];
function draw() {
  plots.forEach((plot) => plot.destroy());
  const [ink, line, font] = [colour('faint'), colour('line'), '12px ' + getComputedStyle(document.body).fontFamily];
  plots = places.flatMap((place) => {
    const curve = curves[Number(place.dataset.curve)];
    if (curve.at.length === 0) {
      place.textContent = 'no values';
      return [];
    }
    const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, gap: 6 };
    const lines = curve.lines.map(({ label, colour: number, faint, dash, values }) => ({
      label,
      stroke: colour('series' + number) + (faint ? '40' : ''),
      width: faint || dash ? 1 : 1.75,
      dash: dash ? [4, 4] : undefined,
      // Isolated values form no line, so they are drawn as points.
      points: { size: 6, fill: colour('series' + number), show: !dash && values.filter((value) => value !== null).length < Math.max(3, curve.at.length / 2) },
      spanGaps: true,
      value: (_, value) => short(value),
    }));
    const options = {
      width: place.clientWidth,
      height: 200,
      scales: { x: { time: false, distr: curve.axisIsLogarithmic ? 3 : 1 }, y: { distr: curve.logarithmic ? 3 : 1 } },
      legend: { markers: { width: 0, fill: (_, i) => lines[i - 1]?.stroke } },
      axes: [
        { ...axis, grid: { show: false }, size: 28, values: labels },
        { ...axis, size: 56, values: labels },
      ],
      cursor: { points: { size: 6 }, drag: { x: true, y: false } },
      series: [{ label: curve.axis, value: (_, value) => short(value) }, ...lines],
    };
    const plot = new uPlot(options, [curve.at, ...curve.lines.map(({ values }) => values)], place);
    // Faint lines have no legend entry.
    plot.root.querySelectorAll('.u-legend .u-series').forEach((row, i) => {
      if (i > 0 && curve.lines[i - 1].faint) row.style.display = 'none';
    });
    return [plot];
  });
}
draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
let waiting = 0;
addEventListener('resize', () => {
  clearTimeout(waiting);
  waiting = setTimeout(draw, 100);
});
`;

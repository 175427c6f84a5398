/**
 * What runs before uPlot: it hands the browser's language to Intl when it is loaded, and where the language of the system is
 * "C" or "POSIX" some browsers tell one that Intl refuses.
 */
export const validLanguage = `
try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' });
}
`;

/**
 * The script of a report, as text: it draws each curve that the page holds as JSON with uPlot, in the colours of the page's
 * style, and again when those or the width change. Of lines with many points it draws the means over neighbours, and the
 * points themselves faintly behind.
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
// Of the ticks of a logarithmic scale most have no label.
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
      // Values that stand alone are no line.
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
    // What is drawn faintly behind has no entry of its own.
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

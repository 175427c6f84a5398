import { type Curve, reportHtml } from 'diffusion-dpo/dpo';
import { beforeEach, expect, test } from 'vitest';
import { drawCurves } from '../../../dpo/evaluate/report/drawCurves.ts';

/** What the script needs of a browser, and what it hands to the plotting library. */
interface Plot {
  readonly options: {
    readonly width: number;
    readonly scales: { readonly x: { readonly distr: number }; readonly y: { readonly distr: number } };
    readonly axes: readonly { values(plot: unknown, ticks: readonly (number | null)[]): readonly string[] }[];
    readonly series: readonly {
      readonly label: string;
      readonly stroke?: string;
      readonly dash?: readonly number[];
      readonly points?: { readonly show: boolean };
    }[];
  };
  readonly data: readonly (readonly (number | null)[])[];
  readonly place: { readonly dataset: { readonly curve: string }; textContent: string };
  readonly entries: readonly { readonly style: { display?: string } }[];
  destroyed: boolean;
}
let plots: Plot[];
let places: Plot['place'][];
let redraw: (() => void) | undefined;
beforeEach(() => {
  plots = [];
  redraw = undefined;
});

/** Runs the script of a report with these curves on a page that is none. */
function drawn(curves: readonly Curve[]): void {
  const empty = { title: '', summary: '', figures: [], grids: [], definitions: {}, config: {} };
  const page = reportHtml({ ...empty, curves }, { script: '', style: '' });
  const textContent = page.match(/id="curves">(.*?)<\/script>/)?.[1] ?? '';
  places = curves.map((_, i) => ({ dataset: { curve: String(i) }, textContent: '', clientWidth: 300 }));
  const document = {
    getElementById: (id: string) => ({ textContent: id === 'curves' ? textContent : '' }),
    querySelectorAll: () => places,
  };
  class UPlot {
    readonly root: unknown;
    readonly plot: Plot;
    constructor(options: Plot['options'], data: Plot['data'], place: Plot['place']) {
      const entries = options.series.map(() => ({ style: {} }));
      this.root = { querySelectorAll: () => entries };
      this.plot = { options, data, place, entries, destroyed: false };
      plots.push(this.plot);
    }
    destroy() {
      this.plot.destroyed = true;
    }
  }
  const getComputedStyle = () => ({ getPropertyValue: (name: string) => ` ${name} `, fontFamily: 'serif' });
  const matchMedia = () => ({
    addEventListener: (_: string, draw: () => void) => {
      redraw = draw;
    },
  });
  const names = ['document', 'uPlot', 'getComputedStyle', 'matchMedia', 'addEventListener'];
  new Function(...names, drawCurves)(document, UPlot, getComputedStyle, matchMedia, () => undefined);
}

test('a report draws the numbers of each curve in its own place, in the colours of its lines', () => {
  const loss = { title: 'Loss', at: [1, 2, 3], series: [{ label: 'loss', values: [0.5, 0.25, 0.125] }] };
  const both = [
    { label: 'first', values: [1, null] },
    { label: 'second', values: [3, 4] },
  ];
  const reference = { label: 'chance', value: 0.5 };
  drawn([
    { ...loss, logarithmic: true },
    { title: 'Two', axis: 'KL', axisIsLogarithmic: true, at: [5, 6], series: both, reference },
  ]);
  expect(plots.map(({ data }) => data)).toEqual([
    [
      [1, 2, 3],
      [0.5, 0.25, 0.125],
    ],
    [
      [5, 6],
      [1, null],
      [3, 4],
      [0.5, 0.5],
    ],
  ]);
  expect(plots.map(({ place }) => place.dataset.curve)).toEqual(['0', '1']);
  expect(plots.map(({ options }) => options.series.map(({ label, stroke }) => [label, stroke]))).toEqual([
    [
      ['step', undefined],
      ['loss', '--series1'],
    ],
    [
      ['KL', undefined],
      ['first', '--series1'],
      ['second', '--series2'],
      ['chance', '--series0'],
    ],
  ]);
  // uPlot's 3 is a logarithmic scale, 1 a linear one.
  expect(plots.map(({ options: { scales } }) => [scales.x.distr, scales.y.distr])).toEqual([
    [1, 3],
    [3, 1],
  ]);
  expect(plots[1]?.options.series.map(({ dash }) => dash)).toEqual([undefined, undefined, undefined, [4, 4]]);
});

test('values that stand alone are points, and a curve without values says so', () => {
  const [many, few] = [
    [1, 2, 3, 4, 5, 6, 7, 8],
    [null, null, 3, null, null, 6, null, null],
  ];
  const series = [
    { label: 'many', values: many },
    { label: 'few', values: few },
  ];
  drawn([
    { title: 'Points', at: many, series },
    { title: 'Nothing', at: [], series: [] },
  ]);
  expect(plots).toHaveLength(1);
  expect(plots[0]?.options.series.map(({ points }) => points?.show)).toEqual([undefined, false, true]);
  expect(places.map(({ textContent }) => textContent)).toEqual(['', 'no values']);
});

test('points behind a smoothed line are faint and not listed, and all is drawn anew where colours change', () => {
  const values = Array.from({ length: 100 }, (_, i) => i % 2);
  drawn([{ title: 'Long', at: values.map((_, i) => i), series: [{ label: 'x', values }] }]);
  expect(plots[0]?.options.series.map(({ stroke }) => stroke)).toEqual([undefined, '--series140', '--series1']);
  expect(plots[0]?.entries.map(({ style }) => style.display)).toEqual([undefined, 'none', undefined]);
  redraw?.();
  expect(plots.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  expect(plots[1]?.data).toEqual(plots[0]?.data);
});

test('ticks are short numbers with a real minus sign', () => {
  drawn([{ title: 'Loss', at: [1], series: [{ label: 'loss', values: [1] }] }]);
  const texts = plots[0]?.options.axes[1]?.values(undefined, [0, null, 0.12345, -2, 100000, -0.00025]);
  expect(texts).toEqual(['0', '', '0.123', '−2', '1.0e5', '−2.5e−4']);
});

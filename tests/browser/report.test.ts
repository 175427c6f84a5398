import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from 'diffusion-dpo/dpo';
import { writeReport } from 'diffusion-dpo/dpo/node';
import { encode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { type Chromium, findChromium } from './chromium.ts';
import { visit } from './visit.ts';

const chromium = findChromium();
if (typeof chromium === 'string') console.warn(`The report was NOT opened in a browser: Chromium: ${chromium}`);

/** What a reader would see of the report. */
interface Seen {
  readonly title: string;
  readonly errors: readonly string[];
  /** For each curve, how many pixels of its canvas are drawn on. */
  readonly inked: readonly number[];
  /** For each curve, how many pixels have the colour of its last line. */
  readonly dots: readonly number[];
  /** For each curve, the colours of its legend. */
  readonly markers: readonly (readonly string[])[];
  /** The widths of the images, 0 where one is broken. */
  readonly images: readonly number[];
  /** How far the page is wider than its window, in pixels. */
  readonly overflow: number;
}

/** Runs in the page, before all else there. */
const look = () => {
  const errors: string[] = [];
  addEventListener('error', ({ message }) => errors.push(message));
  addEventListener('load', () =>
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        const inked = [...document.querySelectorAll('canvas')].map((canvas) => {
          const { data } = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
          return data.filter((value, i) => i % 4 === 3 && value > 0).length;
        });
        const markers = [...document.querySelectorAll('.u-legend')].map((legend) =>
          [...legend.querySelectorAll<HTMLElement>('.u-series .u-marker')]
            .filter(({ offsetWidth, offsetHeight }) => offsetWidth > 0 && offsetHeight > 0)
            .map((marker) => getComputedStyle(marker).backgroundColor),
        );
        const dots = [...document.querySelectorAll('canvas')].map((canvas, i) => {
          const [red, green, blue] = (markers[i]?.at(-1)?.match(/\d+/g) ?? []).map(Number);
          const { data } = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
          return data.filter(
            (_, j) =>
              j % 4 === 0 && data[j] === red && data[j + 1] === green && data[j + 2] === blue && data[j + 3] === 255,
          ).length;
        });
        const images = [...document.images].map(({ naturalWidth }) => naturalWidth);
        const overflow = document.documentElement.scrollWidth - innerWidth;
        const seen = { title: document.title, errors, inked, dots, markers, images, overflow };
        void fetch('/', { method: 'POST', body: JSON.stringify(seen) });
      }),
    ),
  );
};

const image = { bytes: encode({ width: 2, height: 2, channels: 3, data: new Uint8Array(12).fill(99) }) };
const report: Report = {
  title: 'What tuning changed',
  summary: 'Twice as many.',
  figures: [{ name: 'Preferred share', definition: 'A share.', values: { before: 0.5, after: 0.9 }, better: 'higher' }],
  curves: [
    { title: 'Loss', at: [1, 2, 3], series: [{ label: 'loss', values: [0.7, null, 0.6] }] },
    {
      title: 'Margin',
      at: Array.from({ length: 200 }, (_, i) => i),
      series: [{ label: 'margin', values: Array.from({ length: 200 }, (_, i) => Math.sin(i / 9)) }],
      reference: { label: 'none', value: 0 },
    },
    {
      title: 'One place',
      axis: 'where',
      axisIsLogarithmic: true,
      at: [0.01, 1, 100],
      series: [
        { label: 'nothing', values: [null, null, null] },
        { label: 'alone', values: [null, 0.5, null] },
      ],
    },
  ],
  grids: [{ title: 'Samples', columns: ['before', 'after'], rows: [{ caption: 'cat', images: [image, image] }] }],
  definitions: { Margin: 'β times a difference.' },
  config: { beta: 2000 },
};

describe.skipIf(typeof chromium === 'string')('the report in a browser', () => {
  test('draws every curve and image, within its window, without an error', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'diffusion-dpo-report-'));
    try {
      const path = join(folder, 'report.html');
      await writeReport(path, report);
      const page = (await readFile(path, 'utf8')).replace('<head>', `<head><script>(${look})()</script>`);
      const seen = await visit<Seen>(chromium as Chromium, new Map([['', page]]));
      expect(seen.title).toBe(report.title);
      expect(seen.errors).toEqual([]);
      expect(seen.inked.length).toBe(report.curves.length);
      for (const pixels of seen.inked) expect(pixels).toBeGreaterThan(500);
      // A value that stands alone is a dot: its colour is on the canvas.
      expect(seen.dots.at(-1)).toBeGreaterThan(10);
      for (const colours of seen.markers) {
        expect(new Set(colours).size).toBe(colours.length);
        expect(colours).not.toContain('rgba(0, 0, 0, 0)');
      }
      expect(seen.markers.map(({ length }) => length)).toEqual([1, 2, 2]);
      expect(seen.images).toEqual([2, 2]);
      expect(seen.overflow).toBeLessThanOrEqual(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { curveOf, type Report, type ReportFigure, readMetrics, reportHtml } from 'diffusion-dpo/dpo';
import { writeReport } from 'diffusion-dpo/dpo/node';
import { describe, expect, test } from 'vitest';
import { formatFigure, formatNumber } from '../../../dpo/evaluate/report/format.ts';
import { smoothed } from '../../../dpo/evaluate/report/metrics.ts';

const plotting = { script: 'const uPlot = "the library";', style: '.uplot{}' };
const hostile = '</script><script>alert("1 & 2")</script>';
const report: Report = {
  title: 'What <tuning> changed',
  summary: 'Twice as many.',
  figures: [
    {
      name: 'Preferred share',
      definition: `Share of samples, ${hostile}`,
      values: { before: { value: 0.5, low: 0.44, high: 0.56 }, after: { value: 0.9, low: 0.86, high: 0.93 } },
      better: 'higher',
    },
    { name: 'Steps', definition: 'How many.', values: { after: 120 } },
  ],
  curves: [{ title: 'Loss', at: [1, 2, 3], series: [{ label: hostile, values: [0.7, null, 0.6] }] }],
  grids: [
    {
      title: 'Samples',
      columns: ['before', 'after'],
      rows: [
        {
          caption: hostile,
          images: [{ bytes: Uint8Array.of(1, 2, 3) }, { bytes: Uint8Array.of(255), type: 'image/webp' }],
        },
      ],
    },
  ],
  definitions: { 'Implicit accuracy': 'Share of pairs with u > 0.' },
  config: { beta: 2000, nested: { caption: hostile } },
};

describe('reportHtml', () => {
  const page = reportHtml(report, plotting);

  test('holds all that it is given, and asks for nothing from elsewhere', () => {
    expect(page).toContain('<title>What &lt;tuning&gt; changed</title>');
    expect(page).toContain(plotting.script);
    expect(page).toContain(plotting.style);
    expect(page).toContain('<span class="value">0.900</span><span class="interval">0.860 to 0.930</span>');
    expect(page).toContain('<abbr title="higher is better" aria-label="higher is better">↑</abbr>');
    const [figure] = report.figures;
    const lower = reportHtml({ ...report, figures: [{ ...figure, better: 'lower' } as ReportFigure] }, plotting);
    expect(lower).toContain('<abbr title="lower is better" aria-label="lower is better">↓</abbr>');
    expect(page).toContain('<td class="number"><span class="value">–</span></td>');
    expect(page).toContain('src="data:image/png;base64,AQID"');
    expect(page).toContain('src="data:image/webp;base64,/w=="');
    expect(page).toContain('<dt>Implicit accuracy</dt><dd>Share of pairs with u &gt; 0.</dd>');
    expect(page).toContain('&quot;beta&quot;: 2000');
    expect(page).not.toMatch(/(src|href)="(?!data:)/);
    expect(page).not.toMatch(/https?:/);
  });

  test('draws the intervals of a row on one scale, and says of images which column they are of', () => {
    // From 0.44 to 0.93 over 108 pixels.
    expect(page).toContain('<line x1="6.0" x2="32.4" y1="6" y2="6"/><circle cx="19.2" cy="6" r="3.5"/>');
    expect(page).toContain('<line x1="98.6" x2="114.0" y1="18" y2="18"/><circle cx="107.4" cy="18" r="3.5"/>');
    expect(page.match(/alt="[^"]*, (before|after)"/g)?.map((alt) => alt.split(', ').at(-1))).toEqual([
      'before"',
      'after"',
    ]);
  });

  test('lets nothing that it is given become markup', () => {
    expect(page).not.toContain('<script>alert');
    // Its own four scripts: data, language, library, drawing.
    expect(page.match(/<\/script>/g)).toHaveLength(4);
    const data = page.match(/id="curves">(.*?)<\/script>/)?.[1] ?? '';
    expect(JSON.parse(data)[0].lines[0]).toMatchObject({ label: hostile, values: [0.7, null, 0.6] });
  });

  test('says in words what a curve shows', () => {
    expect(page).toContain('aria-label="Loss, step 1.00 to 3.00: ');
    expect(page).toContain('from 0.700 to 0.600');
  });

  test('smooths long curves, with the points behind, and draws a line to compare with', () => {
    const values = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 1 : 3));
    const long = {
      title: 'Long',
      at: values.map((_, i) => i),
      series: [{ label: 'x', values }],
      reference: { label: 'log 2', value: Math.LN2 },
    };
    const data = reportHtml({ ...report, curves: [long] }, plotting).match(/id="curves">(.*?)<\/script>/)?.[1] ?? '';
    const [{ lines }] = JSON.parse(data);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatchObject({ faint: true, values });
    // Nine neighbours of two kinds: means are 17/9 or 19/9.
    expect(lines[1].values[100]).toBeCloseTo(17 / 9, 12);
    expect(lines[2]).toMatchObject({ label: 'log 2', dash: true });
    expect(new Set(lines[2].values)).toEqual(new Set([Math.LN2]));
  });
});

describe('writeReport', () => {
  test('writes one file with uPlot inside, and leaves nothing else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'report-'));
    try {
      const path = join(folder, 'inner', 'report.html');
      await writeReport(path, report);
      await writeReport(path, { ...report, title: 'Second' });
      expect(await readdir(join(folder, 'inner'))).toEqual(['report.html']);
      const page = await readFile(path, 'utf8');
      expect(page).toContain('<title>Second</title>');
      expect(page).toContain('var uPlot=function()');
      expect(page.match(/<\/script>/g)).toHaveLength(4);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('says what is wrong where it cannot write', async () => {
    await expect(writeReport('/dev/null/report.html', report)).rejects.toThrow('cannot write /dev/null/report.html: ');
  });
});

describe('metrics', () => {
  const lines = ['{"step": 2, "loss": 0.5, "other": "x"}', '', '{"step": 1, "loss": 0.7, "rate": 1e-3}'];

  test('are read from lines, without a last one that was cut short', () => {
    expect(readMetrics(lines.join('\n'))).toHaveLength(2);
    expect(readMetrics(`${lines.join('\n')}\n{"step": 3, "lo`)).toHaveLength(2);
    expect(readMetrics('')).toEqual([]);
    expect(() => readMetrics('{"step": 1}\nnonsense\n{"step": 2}\n', 'metrics.jsonl')).toThrow(
      'metrics.jsonl, line 2: not a JSON object: nonsense',
    );
  });

  test('become curves, in order, with gaps where there is no number', () => {
    const records = [
      ...readMetrics(lines.join('\n')),
      { step: 3 },
      { loss: 9 },
      { step: 4, loss: Number.NaN, rate: 2 },
    ];
    expect(curveOf(records, { title: 'Loss', keys: { loss: 'training', rate: 'rate' } })).toEqual({
      title: 'Loss',
      axis: 'step',
      at: [1, 2, 4],
      series: [
        { label: 'training', values: [0.7, 0.5, null] },
        { label: 'rate', values: [1e-3, null, 2] },
      ],
    });
  });

  test('are of numbers within records too, without those that are nowhere', () => {
    const records = [
      { step: 1, accuracy: 0.5 },
      { step: 2, accuracy: 0.6, validation: { accuracy: 0.7 } },
    ];
    const keys = {
      accuracy: 'training',
      'validation.accuracy': 'held out',
      'validation.margin': 'margin',
      'a.b': 'no',
    };
    expect(curveOf(records, { title: 'Accuracy', keys }).series).toEqual([
      { label: 'training', values: [0.5, 0.6] },
      { label: 'held out', values: [null, 0.7] },
    ]);
  });

  test('are smoothed over neighbours that are there', () => {
    expect(smoothed([1, null, 3, 5], 1)).toEqual([1, 2, 4, 4]);
    expect(smoothed([null, null], 3)).toEqual([null, null]);
  });
});

describe('numbers', () => {
  test.each([
    [0, '0.00'],
    [-0.12345, '−0.123'],
    [1234.5, '1235'],
    [12.345, '12.3'],
    [1.5e-7, '1.50 · 10^−7'],
    [2e9, '2.00 · 10^9'],
    [Number.NaN, '–'],
    [Number.NEGATIVE_INFINITY, '−∞'],
  ])('%f is written %s', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });

  test.each([
    [{ value: 0.5, low: 0.4412, high: 0.5588 }, '0.50', '0.44 to 0.56'],
    [{ value: 12.3456, low: 2.1, high: 25 }, '12', '2 to 25'],
    [{ value: -0.0001, low: -0.01, high: 0.01 }, '0.000', '−0.010 to 0.010'],
    [{ value: 1, low: 1, high: 1 }, '1.00', '1.00 to 1.00'],
    [{ value: 1, low: -Infinity, high: Infinity }, '1.00', '−∞ to ∞'],
  ])('%j has the digits of its interval', (figure, value, interval) => {
    expect(formatFigure(figure)).toEqual({ value, interval });
  });
});

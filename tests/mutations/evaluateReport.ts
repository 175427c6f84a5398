import { changesOf, type Mutation } from './mutation.ts';

/** Changes of the report: swapped columns, wrong signs, wrong ends of intervals. */
export const evaluateReportMutations: readonly Mutation[] = [
  ...changesOf(
    'dpo/evaluate/evaluationReport.ts',
    ['tests/dpo/evaluate/evaluationReport.test.ts'],
    [
      [
        'before and after are swapped in the table',
        '{ before: value.base, after: value.tuned }',
        '{ before: value.tuned, after: value.base }',
        'short',
      ],
      [
        'samples of base and tuned pipeline are swapped in the report',
        '[bytesOf(drawn.base, i), bytesOf(drawn.tuned, i)]',
        '[bytesOf(drawn.tuned, i), bytesOf(drawn.base, i)]',
      ],
      [
        'the real image beside the samples is one that is not preferred',
        'real.preferred[j] === true',
        'real.preferred[j] === false',
      ],
      ['the real image beside the samples is of another caption', 'one === caption && ', ''],
      [
        'the summary swaps shares before and after',
        'preferredShare.base.value)} before',
        'preferredShare.tuned.value)} before',
      ],
      [
        'd_w and d_l are drawn from swapped columns',
        "winnerChange: 'd_w, preferred', loserChange: 'd_l, others'",
        "winnerChange: 'd_l, others', loserChange: 'd_w, preferred'",
        'short',
      ],
      [
        'training and held-out accuracy are swapped',
        "accuracy: 'training pairs', 'validation.accuracy': 'held-out pairs'",
        "accuracy: 'held-out pairs', 'validation.accuracy': 'training pairs'",
      ],
      ['the margin is drawn from the accuracy', "margin: 'training pairs'", "accuracy: 'training pairs'"],
      [
        'the learning rate is drawn from the norm of the gradient',
        "keys: { learningRate: 'rate' }",
        "keys: { gradientNorm: 'rate' }",
      ],
      ['the frontier is drawn at the tuned pipeline’s reward', 'point.kl === kl)?.reward', 'point.kl <= kl)?.reward'],
      [
        'the base’s reward in the diagram is that of the tuned pipeline',
        "label: 'base', value: base.reward",
        "label: 'base', value: tuned.reward",
      ],
      ['log 2 is drawn whatever the objective is', 'value: firstLoss }', 'value: Math.LN2 }', 'short'],
      ['a gain is told as exact', 'has gained at least ', 'has gained '],
      ['a loss is told as a gain', 'place.efficiency <= 0', 'place.efficiency < -1'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/figureDefinitions.ts',
    ['tests/dpo/evaluate/evaluationReport.test.ts'],
    [
      ['a lower KID is worse', "kid: [\n    'lower'", "kid: [\n    'higher'"],
      ['a lower win rate is better', "winRate: [\n    'higher'", "winRate: [\n    'lower'"],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/report/sections.ts',
    ['tests/dpo/evaluate/report.test.ts'],
    [
      ['the arrows are swapped', "{ higher: '↑', lower: '↓' }", "{ higher: '↓', lower: '↑' }"],
      ['columns of the table are shifted', 'figureCell(values[column])', 'figureCell(Object.values(values)[0])'],
      ['intervals are drawn from right to left', '((value - low) / (high - low))', '((high - value) / (high - low))'],
      ['the dot of an interval is at its lower end', 'place(value.value)', 'place(value.low)'],
      ['a curve is told from its last value to its first', '[known[0], known.at(-1)]', '[known.at(-1), known[0]]'],
      ['an image is described by another column', 'columns[i]', 'columns[0]'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/report/format.ts',
    ['tests/dpo/evaluate/report.test.ts'],
    [
      ['the ends of an interval are written in the wrong order', 'fixed(low)} to', 'fixed(high)} to'],
      ['an interval without a width swaps its ends', 'formatNumber(low)} to', 'formatNumber(high)} to'],
      [
        'a figure has one digit fewer than its interval carries',
        '1 - Math.floor(Math.log10(width))',
        '-Math.floor(Math.log10(width))',
      ],
      ['a figure shows the lower end for its value', 'value: fixed(value)', 'value: fixed(low)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/report/metrics.ts',
    ['tests/dpo/evaluate/report.test.ts'],
    [
      ['curves are not in the order of their steps', '.toSorted((a, b) => Number(a[axis]) - Number(b[axis]))', ''],
      [
        'lines of a curve have each other’s labels',
        'label: keys[name] as string',
        'label: keys[names.at(-1) as string] as string',
      ],
      ['smoothing shifts a curve by half a window', 'i - width)', 'i - 2 * width)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/report/reportHtml.ts',
    ['tests/dpo/evaluate/report.test.ts'],
    [['the line to compare with is at 0', 'at.map(() => reference.value)', 'at.map(() => 0)']],
  ),
  ...changesOf(
    'dpo/evaluate/report/drawCurves.ts',
    ['tests/dpo/evaluate/drawCurves.test.ts'],
    [
      ['all places show the first curve', 'curves[Number(place.dataset.curve)]', 'curves[0]'],
      [
        'the logarithmic scales of a curve are swapped',
        'distr: curve.axisIsLogarithmic ? 3',
        'distr: curve.logarithmic ? 3',
      ],
      ['lines of a curve have one colour', "stroke: colour('series' + number)", "stroke: colour('series1')"],
      ['values that stand alone are not drawn', 'show: !dash && ', 'show: false && '],
      ['points behind a smoothed line are as strong as it', "(faint ? '40' : '')", "''"],
      ['points behind a smoothed line are listed', "row.style.display = 'none'", "row.style.display = ''"],
      ['curves are drawn above those from before', 'plots.forEach((plot) => plot.destroy());', ''],
    ],
  ),
];

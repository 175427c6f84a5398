import { encodePng } from '../data/encodePng.ts';
import { imageOf } from '../data/image.ts';
import { metricDefinitions } from '../train/metrics.ts';
import type { Figure } from './figure.ts';
import { figureDefinitions } from './figureDefinitions.ts';
import type { FrontierPlace, FrontierPoint, FrontierRun } from './frontier.ts';
import type { WinRate } from './proportions.ts';
import type { RealImages } from './realImages.ts';
import { formatNumber } from './report/format.ts';
import { type Curve, curveOf, type MetricRecord } from './report/metrics.ts';
import type { Report, ReportFigure, ReportGrid } from './report/report.ts';

type Both = Readonly<Record<'base' | 'tuned', Figure>>;

/** The figures of an evaluation that a report shows. */
export interface EvaluationFigures {
  readonly preferredShare: Both;
  readonly captionMatch: Both;
  readonly kid: Both;
  readonly implicitAccuracy: Figure;
  readonly implicitAccuracyEverywhere: Figure;
  readonly classifierAccuracy: Figure;
  readonly klEstimate: Figure;
  /** Name of the score behind `reward`, `winRate` and `frontier`. */
  readonly rewardName: string;
  readonly reward: Both;
  readonly winRate: WinRate;
  readonly neitherShare: Both;
  readonly fid: Both;
  readonly slicedWasserstein: Both;
  readonly precision: Both;
  readonly recall: Both;
  readonly nearest: Both;
  readonly frontier: {
    readonly points: readonly FrontierPoint[];
    readonly base: FrontierRun;
    readonly tuned: FrontierRun;
    readonly largestDivergence: number;
    readonly place: FrontierPlace | null;
  };
}

/** The figures, samples, real images and training metrics that `evaluationReport` shows. */
export interface EvaluationReportOptions {
  readonly summary: EvaluationFigures;
  /** Images [N, 3, height, width] of both pipelines, from −1 to 1. */
  readonly drawn: Readonly<Record<'base' | 'tuned', Float32Array>>;
  /** The caption of each image. */
  readonly captions: readonly string[];
  readonly size: readonly [number, number];
  readonly real: RealImages;
  /** Records of the training's metrics file; none if there was no training run. */
  readonly rows: readonly MetricRecord[];
  /** The loss at the start of training, if it does not depend on the images (`lossAtReference`). */
  readonly firstLoss?: number | undefined;
  readonly config: unknown;
}

/** Number of captions that the report shows. */
const shown = 32;

const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;

/** Makes the report of an evaluation; `reportHtml` and `writeReport` render it. */
export function evaluationReport(options: EvaluationReportOptions): Report {
  const { summary, rows, firstLoss, config } = options;
  const { preferredShare, captionMatch, implicitAccuracy } = summary;
  return {
    title: 'Diffusion-DPO: before and after',
    summary:
      `Images of the preferred kind: ${percent(preferredShare.base.value)} before, ${percent(preferredShare.tuned.value)} after. ` +
      `Held-out pairs ranked as labelled: ${percent(implicitAccuracy.value)}. ` +
      `Samples that show their caption: ${percent(captionMatch.base.value)} before, ${percent(captionMatch.tuned.value)} after.`,
    figures: figuresOf(summary),
    curves: [...trainingCurves(rows, firstLoss), frontierCurve(summary)],
    grids: [samplesGrid(options)],
    definitions: rows.length === 0 ? {} : metricDefinitions,
    config,
  };
}

function figuresOf(summary: EvaluationFigures): ReportFigure[] {
  const values = (name: keyof typeof figureDefinitions): Record<string, Figure> => {
    const value = summary[name];
    return 'base' in value ? { before: value.base, after: value.tuned } : { after: value };
  };
  return (Object.keys(figureDefinitions) as (keyof typeof figureDefinitions)[]).map((name) => {
    const [better, definition] = figureDefinitions[name];
    return { name, definition, values: values(name), ...(better === undefined ? {} : { better }) };
  });
}

function samplesGrid({ drawn, captions, size, real }: EvaluationReportOptions): ReportGrid {
  const bytesOf = (values: Float32Array, i: number) => ({ bytes: encodePng(imageOf(values, i, size)) });
  const rows = captions.slice(0, shown).map((caption, i) => {
    const own = real.captions.findIndex((one, j) => one === caption && real.preferred[j] === true);
    const images = [bytesOf(drawn.base, i), bytesOf(drawn.tuned, i)];
    return { caption, images: own < 0 ? images : [...images, bytesOf(real.values, own)] };
  });
  return {
    title: 'Samples',
    note: 'One caption and seed for both; on the right a real image of the preferred kind, where there is one.',
    columns: ['before', 'after', 'real'],
    rows,
  };
}

function trainingCurves(rows: readonly MetricRecord[], firstLoss: number | undefined): Curve[] {
  if (rows.length === 0) return [];
  const first = Math.abs((firstLoss ?? 0) - Math.LN2) < 1e-6 ? 'log 2' : formatNumber(firstLoss ?? 0);
  return [
    curveOf(rows, {
      title: 'Loss',
      keys: { loss: 'loss' },
      ...(firstLoss === undefined ? {} : { reference: { label: `${first}, where tuning begins`, value: firstLoss } }),
    }),
    curveOf(rows, {
      title: 'Implicit accuracy',
      note: 'Share of pairs that are ranked as labelled.',
      keys: { accuracy: 'training pairs', 'validation.accuracy': 'held-out pairs' },
      reference: { label: 'chance', value: 0.5 },
    }),
    curveOf(rows, {
      title: 'Margin',
      note: 'u, the implicit reward margin.',
      keys: { margin: 'training pairs', 'validation.margin': 'held-out pairs' },
    }),
    curveOf(rows, {
      title: 'Errors against the reference',
      note: 'Above 0, images are predicted worse than by the base.',
      keys: { winnerChange: 'd_w, preferred', loserChange: 'd_l, others' },
      reference: { label: 'the reference', value: 0 },
    }),
    curveOf(rows, { title: 'Norm of the gradient', keys: { gradientNorm: 'norm' } }),
    curveOf(rows, { title: 'Learning rate', keys: { learningRate: 'rate' } }),
  ];
}

/** Describes the tuned pipeline's place on the frontier. Its divergence is an upper bound, so its gain is a lower bound. */
function placeText({ place, largestDivergence, tuned }: EvaluationFigures['frontier']): string {
  if (tuned.kl === 0) return 'The tuned pipeline has not moved from the base, so nothing can be gained.';
  if (place === null)
    return `These samples can show no divergence above ${largestDivergence.toFixed(1)} nats; the bound of the tuned pipeline lies beyond.`;
  if (place.efficiency <= 0) return 'The tuned pipeline has gained nothing of what is possible.';
  return `At its divergence the tuned pipeline has gained at least ${percent(place.efficiency)} of what is possible.`;
}

/** Reward against divergence: the frontier and the tuned pipeline. */
function frontierCurve({ frontier: found, rewardName }: EvaluationFigures): Curve {
  const { points, base, tuned } = found;
  const frontier = points.filter(({ kl }) => kl > 0).toSorted((a, b) => a.kl - b.kl);
  const at = [...new Set([...frontier, tuned].map(({ kl }) => kl))].filter((kl) => kl > 0).toSorted((a, b) => a - b);
  const valueAt = (kl: number): number | null => frontier.find((point) => point.kl === kl)?.reward ?? null;
  return {
    title: 'Reward against divergence',
    note:
      `The most reward (${rewardName}) that a model could reach for its divergence from the base, estimated from samples of ` +
      'the base, and the tuned pipeline. Samples are drawn with guidance, the divergence is that of the models without it; ' +
      `of the tuned pipeline it is an upper bound, that of whole sampling paths. ${placeText(found)}`,
    axis: 'KL in nats',
    axisIsLogarithmic: true,
    at,
    series: [
      { label: 'frontier', values: at.map(valueAt) },
      { label: 'tuned, at most so far away', values: at.map((kl) => (kl === tuned.kl ? tuned.reward : null)) },
    ],
    reference: { label: 'base', value: base.reward },
  };
}

import { type PairBatch, type PairSource, pairBatches, type TimeIds, type TrainSettings } from 'diffusion-dpo/dpo';
import { key, random, read, type Tensor } from 'diffusion-dpo/tensor';
import { captionCode, initial, T } from './analyticRun.ts';

/** Preference training of `analyticRun`'s model in plain numbers, written from the equations and from nothing of the trainer. */

type Numbers = readonly number[];

export const betas = Array.from({ length: T }, (_, t) => 0.01 + (0.19 * t) / (T - 1));
export const alphasCumprod = betas.map((_, t) =>
  betas.slice(0, t + 1).reduce((product, beta) => product * (1 - beta), 1),
);

interface Side {
  readonly image: Numbers;
  readonly left: number;
}

interface Pair {
  readonly sides: readonly [Side, Side];
  readonly caption: number;
  readonly t: number;
  readonly noise: Numbers;
}

export const mean = (values: Numbers): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const logSigmoid = (u: number): number => -Math.log1p(Math.exp(-u));

/** The error of the predicted noise of one side. */
function error(w: Numbers, { t, noise, caption }: Pair, { image, left }: Side): number {
  const [w0, w1, w2, w3] = w as readonly [number, number, number, number];
  const a2 = alphasCumprod[t] as number;
  return mean(
    image.map((value, i) => {
      const x = Math.sqrt(a2) * value + Math.sqrt(1 - a2) * (noise[i] as number);
      return ((noise[i] as number) - (w0 * x + (w1 * x * t) / T + w2 * caption + w3 * left)) ** 2;
    }),
  );
}

/** Weights of time steps. */
function weightOf(settings: TrainSettings, t: number, dataVariance: number): number {
  const a2 = alphasCumprod[t] as number;
  const [b2, snr] = [1 - a2, a2 / (1 - a2)];
  switch (settings.timestepWeight) {
    case 'constant':
      return 0.5;
    case 'elbo':
      return (T * (betas[t] as number)) / (2 * (1 - (betas[t] as number)) * b2);
    case 'min-snr':
      return (0.5 * Math.min(snr, settings.snrGamma)) / snr;
    case 'score-consistent':
      return (a2 * dataVariance + b2) ** 2 / (2 * dataVariance * a2 * b2);
  }
}

/** The loss of each pair, by the errors of both sides and of the reference's. */
function pairLoss(settings: TrainSettings, [w, l]: Numbers, [refW, refL]: Numbers, weight: number): number {
  const [winner, loser] = [w as number, l as number];
  const h = loser - (refL as number) - (winner - (refW as number));
  const u = settings.beta * weight * h;
  switch (settings.objective) {
    case 'dpo':
      return -logSigmoid(u);
    case 'sft':
      return winner;
    case 'dpo+sft':
      return -logSigmoid(u) + settings.sftWeight * winner;
    case 'cdpo':
      return -(1 - settings.labelSmoothing) * logSigmoid(u) - settings.labelSmoothing * logSigmoid(-u);
    case 'robust':
      return (
        (-(1 - settings.flipRate) * logSigmoid(u) + settings.flipRate * logSigmoid(-u)) / (1 - 2 * settings.flipRate)
      );
    case 'ipo':
      return (h - 1 / (2 * settings.ipoTau)) ** 2;
    case 'hinge':
      return Math.max(0, 1 - u);
    default:
      throw new Error(`${settings.objective} is not written here`);
  }
}

/** The time steps that are drawn. */
const timestepsOf = ({ timesteps, timestepRange }: TrainSettings): number[] =>
  Array.from({ length: T }, (_, t) => {
    if (timesteps === 'turbo') return (T / 4) * (t % 4) + T / 4 - 1;
    return timesteps === 'refiner' ? t % (T / 5) : t;
  }).filter((t) => timestepRange === null || (t >= timestepRange[0] && t <= timestepRange[1]));

/** The pairs of a batch, with the time steps and the noise that a key draws. */
async function pairsOf(settings: TrainSettings, batch: PairBatch, own: Tensor): Promise<Pair[]> {
  const count = batch.captions.length;
  const drawn = timestepsOf(settings);
  const [timeKey, noiseKey] = random.split(own);
  const places = await read(random.randint(timeKey, [count], 0, drawn.length));
  const noise = Array.from(await read(random.normal(noiseKey, [count, 12])));
  const side = (values: Float32Array, ids: readonly TimeIds[], pair: number): Side => ({
    image: Array.from(values.subarray(12 * pair, 12 * pair + 12)),
    left: 1 + (settings.timeIds === 'true' ? (ids[pair] as TimeIds)[3] : 0),
  });
  return batch.captions.map((caption, pair) => ({
    sides: [side(batch.winner, batch.winnerTimeIds, pair), side(batch.loser, batch.loserTimeIds, pair)],
    caption: captionCode(caption),
    t: drawn[places[pair] as number] as number,
    noise: noise.slice(12 * pair, 12 * pair + 12),
  }));
}

/** A key of a seed: training's is its second one, that of held-out pairs its fourth. */
const keyOf = ({ seed }: TrainSettings, purpose: number): Tensor => random.split(key(seed), 14)[purpose] as Tensor;

/** Both sides of the pairs of micro-batch after micro-batch. */
async function* microBatches(settings: TrainSettings, source: PairSource): AsyncGenerator<readonly Pair[]> {
  const { batchSize, seed, crop, flip, captionDropout, independentTransforms } = settings;
  const options = { size: 2, batchSize, seed, crop, flip, captionDropout, independentTransforms };
  let i = 0;
  for await (const batch of pairBatches(source, options))
    yield pairsOf(settings, batch, random.foldIn(keyOf(settings, 1), i++));
}

/** The margin and the share of right pairs of held-out pairs, means over pairs and draws. */
export async function naiveRanking(settings: TrainSettings, source: PairSource, w: Numbers, reference: Numbers) {
  const batchSize = Math.min(settings.batchSize, source.count);
  const margins: number[] = [];
  for (let draw = 0; draw < settings.validationDraws; draw++) {
    const options = {
      size: 2,
      batchSize,
      seed: settings.seed,
      crop: 'center',
      flip: false,
      captionDropout: 0,
    } as const;
    let [i, left] = [0, source.count];
    for await (const batch of pairBatches(source, options)) {
      const own = random.foldIn(random.foldIn(keyOf(settings, 3), draw), i++);
      for (const pair of (await pairsOf(settings, batch, own)).slice(0, left)) {
        const [winner, loser] = pair.sides.map((side) => error(w, pair, side) - error(reference, pair, side));
        margins.push(-settings.beta * weightOf(settings, pair.t, 1) * ((winner as number) - (loser as number)));
      }
      left -= batchSize;
      if (left <= 0) break;
    }
  }
  return { margin: mean(margins), accuracy: mean(margins.map((u) => (u > 0 ? 1 : 0))), pairs: source.count };
}

/** The slopes of a function of some numbers at a point, by differences of two widths (Richardson). */
export function gradientOf(f: (w: Numbers) => number, w: Numbers): number[] {
  const difference = (i: number, h: number): number =>
    (f(w.with(i, (w[i] as number) + h)) - f(w.with(i, (w[i] as number) - h))) / (2 * h);
  return w.map((_, i) => (4 * difference(i, 1e-3) - difference(i, 2e-3)) / 3);
}

/** Factors of the learning rate at a step, counted from 0. */
function rateAt({ learningRateSchedule, warmupSteps, steps }: TrainSettings, step: number): number {
  if (learningRateSchedule !== 'constant' && step < warmupSteps) return step / warmupSteps;
  const done = (step - warmupSteps) / Math.max(1, steps - warmupSteps);
  switch (learningRateSchedule) {
    case 'linear':
      return 1 - done;
    case 'cosine':
    case 'cosine_with_restarts':
      return 0.5 + 0.5 * Math.cos(Math.PI * done);
    case 'polynomial':
      return 1e-7 + (1 - 1e-7) * (1 - done);
    default:
      return 1;
  }
}

/** What an optimiser keeps: two lists of moments. */
export type Memory = [number[], number[]];

/** Parameters after step t, counted from 1. */
export function stepped(
  { optimiser, weightDecay }: Pick<TrainSettings, 'optimiser' | 'weightDecay'>,
  w: Numbers,
  g: Numbers,
  rate: number,
  t: number,
  memory: Memory,
): number[] {
  const [first, second] = memory;
  const blend = (old: number[], now: Numbers, decay: number): number[] =>
    now.map((value, i) => decay * (old[i] ?? 0) + (1 - decay) * value);
  const squares = g.map((value) => value ** 2);
  switch (optimiser) {
    case 'sgd':
      return w.map((value, i) => value - rate * ((g[i] as number) + weightDecay * value));
    case 'adamw':
      memory[0] = blend(first, g, 0.9);
      memory[1] = blend(second, squares, 0.999);
      return w.map((value, i) => {
        const [m, v] = [(memory[0][i] as number) / (1 - 0.9 ** t), (memory[1][i] as number) / (1 - 0.999 ** t)];
        return value * (1 - rate * weightDecay) - (rate * m) / (Math.sqrt(v) + 1e-8);
      });
    case 'lion': {
      const direction = blend(first, g, 0.9).map(Math.sign);
      memory[0] = blend(first, g, 0.99);
      return w.map((value, i) => value * (1 - rate * weightDecay) - rate * (direction[i] as number));
    }
    case 'adafactor': {
      memory[1] = blend(second, squares, 1 - t ** -0.8);
      const update = g.map((value, i) => value / Math.sqrt(memory[1][i] as number));
      const size = Math.max(1, Math.sqrt(mean(update.map((value) => value ** 2))));
      return w.map((value, i) => value * (1 - rate * weightDecay) - (rate * (update[i] as number)) / size);
    }
  }
}

/** The variance of images in each dimension. */
async function varianceOf(settings: TrainSettings, source: PairSource): Promise<number> {
  const options = {
    size: 2,
    batchSize: source.count,
    crop: 'center',
    flip: false,
    captionDropout: 0,
    seed: settings.seed,
  } as const;
  for await (const { winner, loser } of pairBatches(source, options)) {
    const images = [winner, loser].flatMap((side) =>
      Array.from({ length: source.count }, (_, i) => side.subarray(12 * i, 12 * i + 12)),
    );
    return mean(
      Array.from({ length: 12 }, (_, i) => {
        const values = images.map((one) => one[i] as number);
        const center = mean(values);
        return mean(values.map((value) => (value - center) ** 2));
      }),
    );
  }
  return Number.NaN;
}

export interface NaiveRun {
  readonly params: Numbers;
  /** The average, where one is kept. */
  readonly average: Numbers | undefined;
  readonly losses: Numbers;
  readonly norms: Numbers;
  readonly rates: Numbers;
}

/** Trains; `rounded` is how parameters are stored, while the precise ones go on. */
export async function naiveTraining(
  settings: TrainSettings,
  source: PairSource,
  rounded: (value: number) => number = (value) => value,
): Promise<NaiveRun> {
  const stream = microBatches(settings, source);
  const variance = settings.dataVariance ?? (await varianceOf(settings, source));
  let w: Numbers = initial.map(rounded);
  const reference = w;
  let average = w;
  const memory: Memory = [[], []];
  const [losses, norms, rates]: [number[], number[], number[]] = [[], [], []];
  for (let step = 0; step < settings.steps; step++) {
    const slopes: number[][] = [];
    const partLosses: number[] = [];
    for (let part = 0; part < settings.accumulation; part++) {
      const pairs = (await stream.next()).value as readonly Pair[];
      const lossOf = (params: Numbers): number =>
        mean(
          pairs.map((pair) => {
            const errors = (of: Numbers) => pair.sides.map((side) => error(of, pair, side));
            return pairLoss(settings, errors(params), errors(reference), weightOf(settings, pair.t, variance));
          }),
        );
      const at = w.map(rounded);
      partLosses.push(lossOf(at));
      slopes.push(gradientOf(lossOf, at));
    }
    let g = w.map((_, i) => mean(slopes.map((slope) => slope[i] as number)));
    const norm = Math.hypot(...g);
    const most = settings.maxGradientNorm;
    // As `clip_grad_norm_` of PyTorch has it.
    if (most !== null) g = g.map((value) => value * Math.min(1, most / (norm + 1e-6)));
    const rate = settings.learningRate * rateAt(settings, step);
    w = stepped(settings, w, g, rate, step + 1, memory);
    const decay = Math.min(settings.emaDecay ?? 0, step === 0 ? 0 : (1 + step) / (10 + step));
    average = average.map((value, i) => decay * value + (1 - decay) * (w[i] as number));
    losses.push(mean(partLosses));
    norms.push(norm);
    rates.push(rate);
  }
  await stream.return(undefined);
  return { params: w, average: settings.emaDecay === null ? undefined : average, losses, norms, rates };
}

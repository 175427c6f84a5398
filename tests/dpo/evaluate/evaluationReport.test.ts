import { type EvaluationFigures, type EvaluationReportOptions, evaluationReport, type Figure } from 'diffusion-dpo/dpo';
import { describe, expect, test } from 'vitest';

/** Figures that all differ, so that none can stand in another's place. */
const figure = (value: number): Figure => ({ value, low: value - 0.25, high: value + 0.5 });
const both = (value: number) => ({ base: figure(value), tuned: figure(value + 1) });
const summary: EvaluationFigures = {
  preferredShare: { base: figure(0.1), tuned: figure(0.9) },
  captionMatch: { base: figure(0.3), tuned: figure(0.4) },
  kid: both(20),
  implicitAccuracy: figure(0.7),
  implicitAccuracyEverywhere: figure(0.6),
  classifierAccuracy: figure(0.8),
  klEstimate: figure(50),
  rewardName: 'brightness',
  reward: both(60),
  winRate: { ...figure(0.55), wins: 1, losses: 1, ties: 0, pValue: 1 },
  neitherShare: both(70),
  fid: both(80),
  slicedWasserstein: both(90),
  precision: both(100),
  recall: both(110),
  nearest: both(120),
  frontier: {
    points: [
      { beta: 1, reward: 3, kl: 0.5, effectiveSamples: 20 },
      { beta: 2, reward: 2, kl: 0.125, effectiveSamples: 30 },
      { beta: Infinity, reward: 1, kl: 0, effectiveSamples: 40 },
    ],
    base: { reward: 1, kl: 0 },
    tuned: { reward: 1.5, kl: 0.25 },
    largestDivergence: 4,
    place: { frontier: { beta: 1.5, reward: 2.5, kl: 0.25, effectiveSamples: 25 }, gap: -1, efficiency: 0.33 },
  },
};

/** Grey images of 1 × 1. */
const options: EvaluationReportOptions = {
  summary,
  drawn: { base: Float32Array.of(-1, -1, -1, 0, 0, 0), tuned: Float32Array.of(1, 1, 1, -0.5, -0.5, -0.5) },
  captions: ['a cat', 'a dog'],
  size: [1, 1],
  real: {
    captions: ['a cat', 'a dog', 'a cat'],
    values: Float32Array.of(0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.5, 0.5, 0.5),
    preferred: [false, false, true],
    models: [undefined, undefined, undefined],
  },
  rows: [
    {
      ...{
        step: 1,
        loss: 2,
        accuracy: 3,
        margin: 4,
        winnerChange: 5,
        loserChange: 6,
        gradientNorm: 7,
        learningRate: 8,
      },
      validation: { accuracy: 9, margin: 10 },
    },
  ],
  config: {},
};
const withFrontier = (changes: Partial<EvaluationFigures['frontier']>): EvaluationReportOptions => ({
  ...options,
  summary: { ...summary, frontier: { ...summary.frontier, ...changes } },
});
const curve = (title: string, of: EvaluationReportOptions = options) =>
  evaluationReport(of).curves.find((one) => one.title === title);

describe('evaluationReport', () => {
  test('puts every figure into its own row, the base before, the tuned pipeline after', () => {
    const { figures } = evaluationReport(options);
    const single = ['winRate', 'implicitAccuracy', 'implicitAccuracyEverywhere', 'classifierAccuracy', 'klEstimate'];
    for (const { name, values } of figures) {
      const found = summary[name as 'kid' | 'winRate'];
      expect(values).toEqual('base' in found ? { before: found.base, after: found.tuned } : { after: found });
    }
    const paired = ['preferredShare', 'neitherShare', 'reward', 'captionMatch', 'kid', 'fid', 'slicedWasserstein'];
    const names = [...paired, 'precision', 'recall', 'nearest', ...single];
    expect(figures.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  });

  test('says which way each figure is better', () => {
    const better = Object.fromEntries(evaluationReport(options).figures.map((one) => [one.name, one.better]));
    const higher = ['preferredShare', 'reward', 'winRate', 'captionMatch', 'precision', 'recall'];
    const accuracies = ['implicitAccuracy', 'implicitAccuracyEverywhere', 'classifierAccuracy'];
    for (const name of [...higher, ...accuracies]) expect([name, better[name]]).toEqual([name, 'higher']);
    for (const name of ['neitherShare', 'kid', 'fid', 'slicedWasserstein', 'klEstimate'])
      expect([name, better[name]]).toEqual([name, 'lower']);
    expect(better.nearest).toBeUndefined();
  });

  test('sums up shares before and after', () => {
    expect(evaluationReport(options).summary).toBe(
      'Images of the preferred kind: 10 % before, 90 % after. Held-out pairs ranked as labelled: 70 %. ' +
        'Samples that show their caption: 30 % before, 40 % after.',
    );
  });

  test('shows base, tuned pipeline and a real image of the preferred kind of the same caption', () => {
    const [grid] = evaluationReport(options).grids;
    const same = (a: Uint8Array | undefined, b: Uint8Array | undefined) => a?.join() === b?.join();
    expect(grid?.columns).toEqual(['before', 'after', 'real']);
    expect(grid?.rows.map(({ caption, images }) => [caption, images.length])).toEqual([
      ['a cat', 3],
      ['a dog', 2],
    ]);
    // The rows' images are told apart by putting one array of pixels in the place of another.
    const shown = (of: EvaluationReportOptions) => evaluationReport(of).grids[0]?.rows.map((row) => row.images) ?? [];
    const [cat, dog] = shown(options);
    const { base, tuned } = options.drawn;
    const [catSwapped, dogSwapped] = shown({ ...options, drawn: { base: tuned, tuned: base } });
    expect(same(cat?.[0]?.bytes, catSwapped?.[1]?.bytes) && same(cat?.[1]?.bytes, catSwapped?.[0]?.bytes)).toBe(true);
    expect(same(dog?.[0]?.bytes, dogSwapped?.[1]?.bytes)).toBe(true);
    const grey = (value: number) => shown({ ...options, drawn: { base: new Float32Array(6).fill(value), tuned } })[0];
    expect(same(cat?.[0]?.bytes, grey(-1)?.[0]?.bytes)).toBe(true);
    expect(same(dog?.[0]?.bytes, grey(0)?.[0]?.bytes)).toBe(true);
    expect(same(cat?.[2]?.bytes, grey(0.5)?.[0]?.bytes)).toBe(true);
  });

  test('draws every number of the training as the line that its label names', () => {
    const lines = Object.fromEntries(
      evaluationReport(options).curves.map(({ title, series }) => [
        title,
        Object.fromEntries(series.map(({ label, values }) => [label, values[0]])),
      ]),
    );
    expect(lines).toMatchObject({
      Loss: { loss: 2 },
      'Implicit accuracy': { 'training pairs': 3, 'held-out pairs': 9 },
      Margin: { 'training pairs': 4, 'held-out pairs': 10 },
      'Errors against the reference': { 'd_w, preferred': 5, 'd_l, others': 6 },
      'Norm of the gradient': { norm: 7 },
      'Learning rate': { rate: 8 },
    });
  });

  test('draws where tuning begins only where that is known', () => {
    expect(curve('Loss')?.reference).toBeUndefined();
    expect(curve('Loss', { ...options, firstLoss: Math.fround(Math.LN2) })?.reference).toEqual({
      label: 'log 2, where tuning begins',
      value: Math.fround(Math.LN2),
    });
    expect(curve('Loss', { ...options, firstLoss: 0.5 })?.reference?.label).toBe('0.500, where tuning begins');
    expect(curve('Implicit accuracy')?.reference?.value).toBe(0.5);
    expect(curve('Errors against the reference')?.reference?.value).toBe(0);
    expect(evaluationReport({ ...options, rows: [] }).curves.map(({ title }) => title)).toEqual([
      'Reward against divergence',
    ]);
  });

  test('draws the frontier, and the tuned pipeline at its divergence', () => {
    expect(curve('Reward against divergence')).toMatchObject({
      at: [0.125, 0.25, 0.5],
      series: [{ values: [2, null, 3] }, { values: [null, 1.5, null] }],
      reference: { label: 'base', value: 1 },
      axisIsLogarithmic: true,
    });
  });

  test('says that a gain is at least what it seems, since the divergence is an upper bound', () => {
    const note = (changes: Partial<EvaluationFigures['frontier']>): string =>
      curve('Reward against divergence', withFrontier(changes))?.note ?? '';
    expect(note({})).toMatch(/an upper bound.*gained at least 33 % of what is possible\.$/);
    const frontier = { beta: 1, reward: 2, kl: 1, effectiveSamples: 9 };
    expect(note({ place: { frontier, gap: -3, efficiency: -0.2 } })).toMatch(
      /has gained nothing of what is possible\.$/,
    );
    expect(note({ place: { frontier, gap: 0, efficiency: Number.NaN }, tuned: { reward: 1, kl: 0 } })).toMatch(
      /has not moved from the base, so nothing can be gained\.$/,
    );
    expect(note({ place: null, tuned: { reward: 2, kl: 5 } })).toMatch(
      /no divergence above 4\.0 nats; the bound of the tuned pipeline lies beyond\.$/,
    );
    expect(curve('Reward against divergence', withFrontier({ tuned: { reward: 1, kl: 0 } }))?.at).toEqual([0.125, 0.5]);
  });
});

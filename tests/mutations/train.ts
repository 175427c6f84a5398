import type { Mutation } from './mutation.ts';

const training = ['tests/dpo/train/training.test.ts'];
const objective = ['tests/dpo/train/objectiveOf.test.ts'];
const keys = ['tests/dpo/keys.test.ts'];
const optimisers = ['tests/nn/optimisers.test.ts'];
const step = 'dpo/train/preferenceStep.ts';
const trainer = 'dpo/train/trainPolicy.node.ts';
const plan = 'dpo/train/runPlan.ts';

/** Of one step: gradients, clipping, the average, draws. */
const steps: readonly Mutation[] = [
  {
    name: 'weights of time steps are not passed to the loss',
    ...{ file: step, find: 'task.objective.loss(output, weight)', replace: 'task.objective.loss(output)' },
    tests: training,
    short: true,
  },
  {
    name: 'weights are those of the first time step',
    ...{
      file: step,
      find: "{ dtype: 'f32' }), timesteps);\n  const { winner",
      replace: "{ dtype: 'f32' }), timesteps.mul(0));\n  const { winner",
    },
    tests: training,
  },
  {
    name: 'accumulated gradients are summed instead of averaged',
    ...{ file: 'nn/optimisers/gradients.ts', find: 'total.div(count)', replace: 'total' },
    tests: training,
    short: true,
  },
  {
    name: 'the sum of the earlier micro-batches is left out',
    ...{ file: step, find: 'meanGradients(accumulate(sum, slopes), count)', replace: 'slopes' },
    tests: training,
  },
  {
    name: 'gradients are clipped at twice the norm',
    ...{
      file: step,
      find: 'clipByGlobalNorm(mean, maxGradientNorm)',
      replace: 'clipByGlobalNorm(mean, 2 * maxGradientNorm)',
    },
    tests: training,
    short: true,
  },
  {
    name: 'gradients are not clipped',
    ...{
      file: step,
      find: 'optimiser.step(state.optimiser, clipped.gradients',
      replace: 'optimiser.step(state.optimiser, mean',
    },
    tests: training,
  },
  {
    name: 'the average is of the parameters before the step',
    ...{
      file: step,
      find: 'preciseParameters(next), next.steps',
      replace: 'preciseParameters(state.optimiser), next.steps',
    },
    tests: training,
    short: true,
  },
  {
    name: 'the average is of rounded parameters',
    ...{ file: step, find: 'preciseParameters(next), next.steps', replace: 'next.params, next.steps' },
    tests: training,
  },
  {
    name: 'the average counts its steps from 0',
    ...{ file: step, find: 'next.steps, ema)', replace: 'next.steps - 1, ema)' },
    tests: training,
  },
  {
    name: 'the average decays as if nothing were said',
    ...{ file: step, find: 'next.steps, ema)', replace: 'next.steps)' },
    tests: training,
  },
  {
    name: 'gradients are taken by the halves',
    ...{ file: step, find: '(mapTree(trained, widened))', replace: '(trained)' },
    tests: training,
    short: true,
  },
  {
    name: 'the average is not saved',
    ...{ file: step, find: 'average ?? preciseParameters(optimiser)', replace: 'preciseParameters(optimiser)' },
    tests: training,
    short: true,
  },
  {
    name: 'rounded parameters are saved',
    ...{ file: step, find: 'average ?? preciseParameters(optimiser)', replace: 'average ?? optimiser.params' },
    tests: training,
  },
  {
    name: 'the last time step is never drawn',
    ...{ file: step, find: '[count], 0, timesteps.length)', replace: '[count], 0, timesteps.length - 1)' },
    tests: training,
    short: true,
  },
  {
    name: 'noise is drawn with the key of the time steps',
    ...{ file: step, find: 'random.normal(noiseKey', replace: 'random.normal(timeKey' },
    tests: training,
  },
  {
    name: 'the two sides have another noise',
    ...{
      file: 'dpo/train/noisedPairs.ts',
      find: 'const both = forBothSides(noise);',
      replace: 'const both = concat([noise, noise.neg()], 0);',
    },
    tests: training,
  },
  {
    name: 'the loser is taken for the winner',
    ...{ file: 'dpo/train/noisedPairs.ts', find: 'concat([winner, loser], 0)', replace: 'concat([loser, winner], 0)' },
    tests: training,
    short: true,
  },
  {
    name: 'the reference is the policy',
    ...{ file: step, find: 'stopGradient(ask(reference))', replace: 'stopGradient(ask(params))' },
    tests: training,
  },
  {
    name: 'u that is watched has no weight',
    ...{ file: step, find: 'pairMetrics(output, task.beta, weight)', replace: 'pairMetrics(output, task.beta)' },
    tests: training,
  },
  {
    name: 'the norm is that of the clipped gradient',
    ...{ file: step, find: 'gradientNorm: clipped.norm', replace: 'gradientNorm: globalNorm(clipped.gradients)' },
    tests: training,
  },
];

/** Of the trainer around it. */
const runs: readonly Mutation[] = [
  {
    name: 'one noise for the whole run',
    ...{ file: trainer, find: 'random.foldIn(trainingKey, i)', replace: 'random.foldIn(trainingKey, 0 * i)' },
    tests: training,
    short: true,
  },
  {
    name: 'all micro-batches of a step have one key',
    ...{
      file: trainer,
      find: 'const index = step * accumulation + part;',
      replace: 'const index = step * accumulation;',
    },
    tests: training,
  },
  {
    name: 'the learning rate comes one step late',
    ...{
      file: trainer,
      find: 'accumulation, inputs, keyOf(index), learningRate(step))',
      replace: 'accumulation, inputs, keyOf(index), learningRate(step - 1))',
    },
    tests: training,
    short: true,
  },
  {
    name: 'the learning rate that is written down is the next one',
    ...{ file: trainer, find: 'learningRate: learningRate(step - 1)', replace: 'learningRate: learningRate(step)' },
    tests: training,
  },
  {
    name: 'the learning rate is not scaled by its schedule',
    ...{ file: trainer, find: 'settings.learningRate * schedule(step)', replace: 'settings.learningRate' },
    tests: training,
  },
  {
    name: 'maxGradientNorm is ignored',
    ...{ file: trainer, find: 'maxGradientNorm: settings.maxGradientNorm ?? undefined', replace: 'maxGradientNorm: 1' },
    tests: training,
  },
  {
    name: 'emaDecay is ignored, and 0.9999 taken',
    ...{ file: trainer, find: '{ decay: settings.emaDecay }', replace: '{}' },
    tests: training,
    short: true,
  },
  {
    name: 'warmupSteps are ignored',
    ...{ file: trainer, find: 'warmupSteps: settings.warmupSteps', replace: 'warmupSteps: 0' },
    tests: training,
  },
  {
    name: 'weightDecay is ignored',
    ...{
      file: trainer,
      find: '{ weightDecay: settings.weightDecay, hasHalves }',
      replace: '{ weightDecay: 0.01, hasHalves }',
    },
    tests: training,
  },
  {
    name: 'halves are trained without precise copies',
    ...{ file: trainer, find: "settings.method === 'full' && settings.storage !== 'f32'", replace: 'false' },
    tests: training,
  },
  {
    name: 'what is ranked is not what is saved',
    ...{
      file: trainer,
      find: 'policy.parameters(resultOf(state))',
      replace: 'policy.parameters(state.optimiser.params)',
    },
    tests: training,
    short: true,
  },
  {
    name: 'validationDraws are ignored',
    ...{ file: trainer, find: 'draws: settings.validationDraws', replace: 'draws: 2' },
    tests: training,
  },
  {
    name: 'held-out pairs are ranked with the keys of training',
    ...{ file: trainer, find: "keyFor(settings.seed, 'validation')", replace: "keyFor(settings.seed, 'training')" },
    tests: training,
  },
  {
    name: 'all ranking draws are the same',
    ...{
      file: 'dpo/train/implicitAccuracy.ts',
      find: 'random.foldIn(random.foldIn(key, d), at)',
      replace: 'random.foldIn(random.foldIn(key, 0), at)',
    },
    tests: training,
    short: true,
  },
  {
    name: 'all batches of a ranking have one key',
    ...{
      file: 'dpo/train/implicitAccuracy.ts',
      find: 'random.foldIn(random.foldIn(key, d), at)',
      replace: 'random.foldIn(random.foldIn(key, d), 0)',
    },
    tests: training,
  },
  {
    name: 'a ranking sums its draws',
    ...{
      file: 'dpo/train/implicitAccuracy.ts',
      find: 'sum / draws',
      replace: 'sum',
    },
    tests: training,
  },
  {
    name: 'held-out pairs are cropped at random',
    ...{
      file: 'dpo/train/implicitAccuracy.ts',
      find: "crop: 'center', flip: false, captionDropout: 0 });",
      replace: 'flip: false, captionDropout: 0 });',
    },
    tests: training,
  },
  {
    name: 'held-out pairs lose their captions',
    ...{
      file: 'dpo/train/implicitAccuracy.ts',
      find: "crop: 'center', flip: false, captionDropout: 0 });",
      replace: "crop: 'center', flip: false });",
    },
    tests: training,
  },
  {
    name: "the reference's errors of another device are used",
    ...{
      file: 'dpo/train/precomputedErrors.node.ts',
      find: 'if (before !== place)',
      replace: 'if (before === undefined)',
    },
    tests: training,
  },
  {
    name: "that the reference's errors are computed anew is not said",
    ...{
      file: 'dpo/train/precomputedErrors.node.ts',
      find: "if (typeof stored === 'string') onAnew",
      replace: "if (typeof stored === 'number') onAnew",
    },
    tests: training,
  },
  {
    name: "the winners' errors of the reference are taken for the losers'",
    ...{
      file: 'dpo/train/storedErrors.ts',
      find: '(2 * batch + which) * pairs',
      replace: '(2 * batch + 1 - which) * pairs',
    },
    tests: training,
  },
];

/** Of what a run is planned from. */
const plans: readonly Mutation[] = [
  ...(
    [
      ['crop is ignored', 'crop: settings.crop', "crop: 'center'"],
      ['flip is ignored', 'flip: settings.flip', 'flip: false'],
      ['captionDropout is ignored', 'captionDropout: settings.captionDropout', 'captionDropout: 0'],
      [
        'independentTransforms is ignored',
        'independentTransforms: settings.independentTransforms',
        'independentTransforms: false',
      ],
      ['the order of the data is that of seed 0', 'seed: settings.seed', 'seed: 0'],
      ['β of the margin is twice as large', 'beta: settings.beta,', 'beta: 2 * settings.beta,'],
      ['snrGamma is ignored', 'gamma: settings.snrGamma', 'gamma: 5'],
      ['dataVariance is ignored', 'settings.dataVariance ?? (await', '(await'],
      ['timestepWeight is ignored', 'timestepWeights(settings.timestepWeight,', "timestepWeights('constant',"],
      ['timesteps is ignored', 'drawnTimesteps(settings.timesteps,', "drawnTimesteps('all',"],
      ['timestepRange is ignored', 'numTrainTimesteps, settings.timestepRange)', 'numTrainTimesteps, null)'],
      ['timeIds is ignored', 'timeIds: settings.timeIds', "timeIds: 'constant'"],
    ] as const
  ).map(([name, find, replace]) => ({ name, file: plan, find, replace, tests: training })),
  {
    name: 'the variance of the data is about 0',
    ...{
      file: 'dpo/train/variance.ts',
      find: '(squares[i] as number) / count - (one / count) ** 2',
      replace: '(squares[i] as number) / count',
    },
    tests: training,
    short: true,
  },
  {
    name: 'the variance is that of the winners',
    ...{
      file: 'dpo/train/variance.ts',
      find: 'for (const side of [winner, loser])',
      replace: 'for (const side of [winner, winner])',
    },
    tests: training,
  },
  ...(
    [
      ['α of dpo+sft is ignored', 'alpha: settings.sftWeight', 'alpha: 1'],
      ['labelSmoothing is ignored', 'labelSmoothing: settings.labelSmoothing', 'labelSmoothing: 0.1'],
      ['flipRate is ignored', 'flipRate: settings.flipRate', 'flipRate: 0.1'],
      ['mislabelled is ignored', 'a: settings.mislabelled', 'a: 0.1'],
      ['ipoTau is ignored', 'tau: settings.ipoTau', 'tau: 50'],
      ['mapoWeight is ignored', 'b: settings.mapoWeight', 'b: 0.1'],
      ["mapo's T is ignored", 'timesteps: numTrainTimesteps', 'timesteps: 1000'],
      ["safeguard's μ is ignored", 'mu: settings.safeguard', 'mu: 0.9'],
    ] as const
  ).map(([name, find, replace]) => ({ name, file: 'dpo/train/objectiveOf.ts', find, replace, tests: objective })),
  ...(['adamw', 'adafactor', 'lion', 'sgd'] as const).map((name) => ({
    name: `${name} is made without its weightDecay`,
    file: 'dpo/train/optimiserOf.ts',
    find: `${name}: () => ${name === 'adamw' ? 'adamW' : name}<T>({ weightDecay })`,
    replace: `${name}: () => ${name === 'adamw' ? 'adamW' : name}<T>({})`,
    tests: training,
  })),
];

/** Of keys, optimisers and averages. */
const parts: readonly Mutation[] = [
  {
    name: 'two purposes have one key',
    ...{ file: 'dpo/keys.ts', find: 'validation: 3', replace: 'validation: 1' },
    tests: keys,
    short: true,
  },
  {
    name: "purposes' keys are folded as those of images are",
    ...{ file: 'dpo/data/draws.ts', find: 'threefry(high, low, i, split)', replace: 'threefry(high, low, i, fold)' },
    tests: keys,
  },
  {
    name: 'a root key is folded beside the list',
    ...{ file: 'dpo/train/samplePictures.ts', find: "keyFor(seed, 'images')", replace: 'key(seed)' },
    tests: keys,
    only: 'no other file',
  },
  {
    name: 'a run goes on with other keys',
    ...{ file: trainer, find: 'if (record.keys !== keyVersion)', replace: 'if (record.keys === 0)' },
    tests: ['tests/dpo/train/train.test.ts'],
    only: 'drew other numbers',
  },
  {
    name: 'the average is rounded at every step',
    ...{ file: 'nn/ema.ts', find: '.mul(rest));', replace: '.mul(rest)).cast(old.dtype);' },
    tests: optimisers,
    only: 'averages of halves',
  },
  {
    name: 'the decay of the average grows more slowly at first',
    ...{ file: 'nn/ema.ts', find: '(1 + since) / (10 + since)', replace: '(1 + since) / (11 + since)' },
    tests: optimisers,
    short: true,
  },
  {
    name: 'clipped gradients are rounded to halves',
    ...{
      file: 'nn/optimisers/gradients.ts',
      find: 'widened(g).div(factor.cast(widened(g).dtype))',
      replace: 'widened(g).div(factor.cast(widened(g).dtype)).cast(g.dtype)',
    },
    tests: optimisers,
    only: 'gradients',
  },
];

export const trainMutations: readonly Mutation[] = [...steps, ...runs, ...plans, ...parts];

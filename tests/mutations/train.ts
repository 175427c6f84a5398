import { changes, type Mutation } from './mutation.ts';
import { trainOptimiserMutations } from './trainOptimisers.ts';

const training = 'tests/dpo/train/training.test.ts';
const pretraining = 'tests/dpo/train/pretraining.test.ts';

/** The steps, runs and settings of training, and the optimisers, averages and adapters that they use. */
export const trainMutations: readonly Mutation[] = [
  ...changes({ file: 'dpo/train/preferenceStep.ts', tests: training }, [
    [
      'weights of time steps are not passed to the loss',
      'task.objective.loss(output, weight)',
      'task.objective.loss(output)',
      'short',
    ],
    [
      'weights are those of the first time step',
      'take(tensor(task.weights, { dtype }), timesteps)',
      'take(tensor(task.weights, { dtype }), timesteps.mul(0))',
    ],
    ['the sum of the earlier micro-batches is left out', 'meanGradients(accumulate(sum, grads), count)', 'grads'],
    [
      'gradients are clipped at twice the norm',
      'clipByGlobalNorm(mean, maxGradientNorm)',
      'clipByGlobalNorm(mean, 2 * maxGradientNorm)',
      'short',
    ],
    [
      'gradients are not clipped',
      'optimiser.step(state.optimiser, clipped.gradients',
      'optimiser.step(state.optimiser, mean',
    ],
    [
      'the average is of the parameters before the step',
      'preciseParameters(next), next.steps',
      'preciseParameters(state.optimiser), next.steps',
      'short',
    ],
    ['the average is of rounded parameters', 'preciseParameters(next), next.steps', 'next.params, next.steps'],
    ['the average counts its steps from 0', 'next.steps, ema)', 'next.steps - 1, ema)'],
    ['the average decays as if nothing were said', 'next.steps, ema)', 'next.steps)'],
    ['gradients are taken by the halves', '(mapTree(trained, widened))', '(trained)', 'short'],
    ['the average is not saved', 'average ?? preciseParameters(optimiser)', 'preciseParameters(optimiser)', 'short'],
    ['rounded parameters are saved', 'average ?? preciseParameters(optimiser)', 'average ?? optimiser.params'],
    [
      'the last time step is never drawn',
      '[count], 0, timesteps.length)',
      '[count], 0, timesteps.length - 1)',
      'short',
    ],
    ['noise is drawn with the key of the time steps', 'random.normal(noiseKey', 'random.normal(timeKey'],
    ['the reference is the policy, with a gradient', 'stopGradient(predict(reference))', 'predict(params)'],
    ['errors that were computed before are not used', 'batch.referenceErrors ?? (', '('],
    ['the key of a task is split for nothing', 'random.randint(timeKey', 'random.randint(noiseKey'],
    ["the loser has the winner's caption and size", 'timeIds },\n});', 'timeIds: timeIds.toReversed() },\n});'],
    ['the reference is the policy', 'stopGradient(predict(reference))', 'stopGradient(predict(params))'],
    ['u that is watched has no weight', 'pairMetrics(output, task.beta, weight)', 'pairMetrics(output, task.beta)'],
    [
      'the norm is that of the clipped gradient',
      'gradientNorm: clipped.norm',
      'gradientNorm: globalNorm(clipped.gradients)',
    ],
  ]),
  ...changes({ file: 'dpo/train/noisedPairs.ts', tests: 'tests/dpo/train/noisedPairs.test.ts' }, [
    [
      'the two sides have another noise',
      'const both = forBothSides(noise);',
      'const both = concat([noise, noise.neg()], 0);',
    ],
    [
      'the target is that of the other side',
      'predictionTarget(prediction, schedule, images, both, twice)',
      'predictionTarget(prediction, schedule, concat([loser, winner], 0), both, twice)',
    ],
    ['predictions of the sides are exchanged', 'prediction: predictions[0]', 'prediction: predictions[1]'],
    ["the loser is compared with the winner's prediction", 'prediction: predictions[1]', 'prediction: predictions[0]'],
    ["the winner's reference is the loser's", 'reference: references?.[0]', 'reference: references?.[1]'],
    ["the loser's reference is the winner's", 'reference: references?.[1]', 'reference: references?.[0]'],
    ["the winner's stored error is the loser's", 'referenceError: errors?.winner', 'referenceError: errors?.loser'],
    ["the loser's stored error is the winner's", 'referenceError: errors?.loser', 'referenceError: errors?.winner'],
    ["the loser's target is the winner's", 'target: targets[1]', 'target: targets[0]'],
    ['the loser is taken for the winner', 'concat([winner, loser], 0)', 'concat([loser, winner], 0)', 'short'],
  ]),
  ...changes({ file: 'dpo/train/policyJobs.ts', tests: training }, [
    [
      'all micro-batches of a step have one key',
      'const index = step * accumulation + part;',
      'const index = step * accumulation;',
    ],
    [
      'the learning rate comes one step late',
      'accumulation, inputs, keyOf(index), learningRate(step))',
      'accumulation, inputs, keyOf(index), learningRate(step - 1))',
      'short',
    ],
  ]),
  ...changes({ file: 'dpo/train/runMetrics.node.ts', tests: training }, [
    [
      'the learning rate that is written down is the next one',
      'learningRate: learningRate(step - 1)',
      'learningRate: learningRate(step)',
    ],
  ]),
  ...changes({ file: 'dpo/train/trainPolicy.node.ts', tests: training }, [
    ['one noise for the whole run', 'random.foldIn(trainingKey, i)', 'random.foldIn(trainingKey, 0 * i)', 'short'],
    [
      'the learning rate is not scaled by its schedule',
      'settings.learningRate * schedule(step)',
      'settings.learningRate',
    ],
    ['maxGradientNorm is ignored', 'maxGradientNorm: settings.maxGradientNorm ?? undefined', 'maxGradientNorm: 1'],
    ['emaDecay is ignored, and 0.9999 taken', '{ decay: settings.emaDecay }', '{}', 'short'],
    ['warmupSteps are ignored', 'warmupSteps: settings.warmupSteps', 'warmupSteps: 0'],
    ['weightDecay is ignored', 'weightDecay: settings.weightDecay', 'weightDecay: 0.01'],
    ['halves are trained without precise copies', "method === 'full' && storage !== 'f32'", 'false'],
    [
      'what is ranked is not what is saved',
      'policy.parameters(resultOf(state))',
      'policy.parameters(state.optimiser.params)',
      'short',
    ],
    ['validationDraws are ignored', 'draws: settings.validationDraws', 'draws: 2'],
    [
      'held-out pairs are ranked with the keys of training',
      "keyFor(settings.seed, 'validation')",
      "keyFor(settings.seed, 'training')",
    ],
  ]),
  ...changes({ file: 'dpo/train/implicitAccuracy.ts', tests: training }, [
    [
      'all ranking draws are the same',
      'random.foldIn(random.foldIn(key, d), at)',
      'random.foldIn(random.foldIn(key, 0), at)',
      'short',
    ],
    [
      'all batches of a ranking have one key',
      'random.foldIn(random.foldIn(key, d), at)',
      'random.foldIn(random.foldIn(key, d), 0)',
    ],
    ['a ranking sums its draws', 'sum / draws', 'sum'],
    [
      'held-out pairs are cropped at random',
      "crop: 'center', flip: false, captionDropout: 0 });",
      'flip: false, captionDropout: 0 });',
    ],
    [
      'held-out pairs lose their captions',
      "crop: 'center', flip: false, captionDropout: 0 });",
      "crop: 'center', flip: false });",
    ],
  ]),
  ...changes({ file: 'dpo/train/precomputedErrors.node.ts', tests: training }, [
    ["the reference's errors of another device are used", 'if (before !== place)', 'if (before === undefined)'],
    [
      "that the reference's errors are computed anew is not said",
      "if (typeof stored === 'string') onAnew",
      "if (typeof stored === 'number') onAnew",
    ],
  ]),
  ...changes({ file: 'dpo/train/storedErrors.ts', tests: training }, [
    [
      "the winners' errors of the reference are taken for the losers'",
      '(2 * batch + which) * pairs',
      '(2 * batch + 1 - which) * pairs',
    ],
  ]),
  ...changes({ file: 'dpo/train/runPlan.ts', tests: training }, [
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
  ]),
  ...changes({ file: 'dpo/train/variance.ts', tests: training }, [
    [
      'the variance of the data is about 0',
      '(squares[i] as number) / count - (one / count) ** 2',
      '(squares[i] as number) / count',
      'short',
    ],
    [
      'the variance is that of the winners',
      'for (const side of [winner, loser])',
      'for (const side of [winner, winner])',
    ],
  ]),
  ...changes({ file: 'dpo/train/objectiveOf.ts', tests: 'tests/dpo/train/objectiveOf.test.ts' }, [
    ['α of dpo+sft is ignored', 'alpha: settings.sftWeight', 'alpha: 1'],
    ['labelSmoothing is ignored', 'labelSmoothing: settings.labelSmoothing', 'labelSmoothing: 0.1'],
    ['flipRate is ignored', 'flipRate: settings.flipRate', 'flipRate: 0.1'],
    ['mislabelled is ignored', 'a: settings.mislabelled', 'a: 0.1'],
    ['ipoTau is ignored', 'tau: settings.ipoTau', 'tau: 50'],
    ['mapoWeight is ignored', 'b: settings.mapoWeight', 'b: 0.1'],
    ["mapo's T is ignored", 'timesteps: numTrainTimesteps', 'timesteps: 1000'],
    ["safeguard's μ is ignored", 'mu: settings.safeguard,', 'mu: 0.9,'],
    ["safeguard's scope is ignored", ', scope: settings.safeguardScope', ''],
    ["dspo's pull is ignored", ', pull: settings.dspoPull', ''],
    ['safeguard is never added', 'settings.safeguard === null', 'settings.safeguard !== 1e9'],
  ]),
  ...changes({ file: 'dpo/train/preferenceStep.ts', tests: 'tests/dpo/train/knownOptimum.test.ts', only: 'differ' }, [
    ['a task is asked for no weights', 'task.objective.loss(output, weight)', 'task.objective.loss(output, 0.5)'],
    [
      'the weight is that of the time step before',
      'take(tensor(task.weights, { dtype }), timesteps)',
      'take(tensor(task.weights, { dtype }), timesteps.sub(1).maximum(0))',
    ],
    ['the last time step is left as it is', '[count], 0, timesteps.length)', '[count], 0, timesteps.length - 1)'],
    ['the first time step is left as it is', '[count], 0, timesteps.length)', '[count], 1, timesteps.length)'],
  ]),
  ...changes({ file: 'dpo/train/noisedPairs.ts', tests: 'tests/dpo/train/knownOptimum.test.ts', only: 'differ' }, [
    [
      'the loser has noise of another pair',
      'const both = forBothSides(noise);',
      'const both = concat([noise, concat([noise.sliceAxis(0, 1, noise.shape[0]), noise.sliceAxis(0, 0, 1)], 0)], 0);',
    ],
    [
      'the loser has the time step of another',
      'forBothSides(timesteps) : [',
      'concat([timesteps, timesteps.mul(0)], 0) : [',
    ],
  ]),
  ...changes({ file: 'dpo/train/optimiserOf.ts', tests: training }, [
    ['adamw is made without its weightDecay', 'adamw: () => adamW<T>({ weightDecay })', 'adamw: () => adamW<T>({})'],
    [
      'adafactor is made without its weightDecay',
      'adafactor: () => adafactor<T>({ weightDecay })',
      'adafactor: () => adafactor<T>({})',
    ],
    ['lion is made without its weightDecay', 'lion: () => lion<T>({ weightDecay })', 'lion: () => lion<T>({})'],
    ['sgd is made without its weightDecay', 'sgd: () => sgd<T>({ weightDecay })', 'sgd: () => sgd<T>({})'],
  ]),
  ...changes({ file: 'dpo/train/pretrain.ts', tests: pretraining }, [
    [
      'an image is always seen at one time step',
      'random.randint(timeKey, [batchSize], 0,',
      'random.randint(imageKey, [batchSize], 0,',
    ],
    [
      'the last time step is never drawn in pretrain',
      'schedule.numTrainTimesteps);\n    const noise',
      'schedule.numTrainTimesteps - 1);\n    const noise',
    ],
    ['noise is drawn with the key of the time steps in pretrain', 'random.normal(noiseKey', 'random.normal(timeKey'],
    ['all steps have one key', 'random.foldIn(options.key, state.steps)', 'options.key'],
    ['captions are dropped by the key of the images', 'random.bernoulli(dropKey', 'random.bernoulli(imageKey'],
    ['captionDropout of pretrain is ignored', 'options.captionDropout, [batchSize', '0, [batchSize'],
    [
      'captions are kept where they are to be dropped',
      'where(dropped, data.emptyIds, take(data.ids, chosen))',
      'where(dropped, take(data.ids, chosen), data.emptyIds)',
    ],
    [
      'maxGradientNorm of pretrain is doubled',
      'clipByGlobalNorm(grads, options.maxGradientNorm)',
      'clipByGlobalNorm(grads, 2 * options.maxGradientNorm)',
    ],
    [
      'the learning rate of pretrain comes one step early',
      'options.learningRateSchedule(state.steps)',
      'options.learningRateSchedule(state.steps + 1)',
    ],
    [
      'the average of pretrain is of the parameters before the step',
      'emaStep(average, updated.params',
      'emaStep(average, state.params',
    ],
    ['emaDecay of pretrain is ignored', '{ decay: options.emaDecay }', '{}'],
    ['the optimiser of pretrain is ignored', "options.optimiser ?? 'adamw'", "'adamw'"],
    ['weightDecay of pretrain is ignored', 'weightDecay: options.weightDecay', 'weightDecay: 0.01'],
  ]),
  ...changes({ file: 'dpo/train/pretrain.node.ts', tests: pretraining }, [
    ['warmupSteps of pretrain are ignored', 'warmupSteps: settings.warmupSteps', 'warmupSteps: 0'],
    [
      'learningRateSchedule of pretrain is ignored',
      'learningRateSchedule(settings.learningRateSchedule, {',
      "learningRateSchedule('constant_with_warmup', {",
    ],
    ['pretrain saves the last parameters', 'copy(state.average)', 'copy(state.optimiser.params)'],
    ['merges are ignored', 'merges: settings.merges', 'merges: 400'],
    ['seed of pretrain is ignored', "keyFor(settings.seed, 'pretraining')", "keyFor(0, 'pretraining')"],
    ['seed of a model from nothing is ignored', "keyFor(settings.seed, 'modelInit')", "keyFor(0, 'modelInit')"],
  ]),
  ...changes({ file: 'dpo/keys.ts', tests: 'tests/dpo/keys.test.ts' }, [
    ['two purposes have one key', 'validation: 3', 'validation: 1', 'short'],
  ]),
  ...changes({ file: 'dpo/data/draws.ts', tests: 'tests/dpo/keys.test.ts' }, [
    [
      "purposes' keys are folded as those of images are",
      'threefry(high, low, i, split)',
      'threefry(high, low, i, fold)',
    ],
  ]),
  ...changes({ file: 'dpo/cli/doctorCommand.node.ts', tests: 'tests/dpo/keys.test.ts', only: 'no other file' }, [
    [
      'a root key is made beside the list',
      'random.normal(key(1), [16, 24])',
      'random.normal(key(Date.now()), [16, 24])',
    ],
  ]),
  ...changes(
    { file: 'dpo/train/run/sameRun.node.ts', tests: 'tests/dpo/train/train.test.ts', only: 'drew other numbers' },
    [['a run goes on with other keys', 'if (record.keys !== keyVersion)', 'if (record.keys === 0)']],
  ),
  ...changes({ file: 'dpo/train/train.node.ts', tests: 'tests/dpo/train/trainOptions.test.ts' }, [
    ['loraAlpha is ignored', 'alpha: settings.loraAlpha ?? rank', 'alpha: rank'],
    ['loraRank is ignored', 'const rank = settings.loraRank', 'const rank = 8'],
    ['loraTargets are ignored', '      targets: settings.loraTargets,\n', ''],
    ['adapters begin the same for every seed', "keyFor(settings.seed, 'loraInit')", "keyFor(0, 'loraInit')"],
    ['saveDtype is ignored', '{ dtype: settings.saveDtype }', '{}'],
    ['storage is ignored', '{ device, dtype, checkpointing }', "{ device, dtype: 'f32', checkpointing }"],
    ['checkpointing is ignored', '{ device, dtype, checkpointing }', '{ device, dtype }'],
  ]),
  ...changes({ file: 'dpo/train/trainLoop.node.ts', tests: 'tests/dpo/train/trainOptions.test.ts' }, [
    ['checkpointEvery is ignored', 'step % checkpointEvery === 0', 'step % 100 === 0'],
    ['keepCheckpoints is ignored', 'record, keepCheckpoints)', 'record, 2)'],
  ]),
  ...changes({ file: 'dpo/train/runMetrics.node.ts', tests: 'tests/dpo/train/trainOptions.test.ts' }, [
    ['logEvery is ignored', 'step % settings.logEvery !== 0', 'step % 10 !== 0'],
    [
      'a window begins with the buckets of before',
      'window = emptyWindow(settings.buckets);',
      'window = emptyWindow(10);',
    ],
  ]),
  ...changes({ file: 'dpo/train/runPlan.ts', tests: 'tests/dpo/train/trainOptions.test.ts' }, [
    ['maxSkipped is ignored', 'maxSkipped: settings.maxSkipped', 'maxSkipped: 10'],
  ]),
  ...changes(
    { file: 'dpo/data/pairBatches.ts', tests: 'tests/dpo/train/trainOptions.test.ts', only: 'another epoch' },
    [['crops and flips are those of the first epoch', "'transforms', position.epoch", "'transforms', 0"]],
  ),
  ...changes({ file: 'dpo/config/trainKeys.ts', tests: 'tests/dpo/configuration.test.ts' }, [
    ['another β is the default', 'positive(5000)', 'positive(500)'],
    [
      'accumulation is the default',
      'accumulation: configKey(\n    wholeFrom(1, 1, upperLimits.count),',
      'accumulation: configKey(\n    wholeFrom(2, 1, upperLimits.count),',
    ],
  ]),
  ...changes({ file: 'dpo/config/commonKeys.ts', tests: 'tests/dpo/configuration.test.ts' }, [
    ['no weight decay is the default', 'numberFrom(0.01, 0)', 'numberFrom(0, 0)'],
    ['clipping is on by default', "optional(positive(1)),\n    'The gradient", "positive(1),\n    'The gradient"],
  ]),
  ...changes({ file: 'dpo/config/pretrainKeys.ts', tests: 'tests/dpo/configuration.test.ts' }, [
    ['another learning rate is the default of pretrain', 'positive(1e-3)', 'positive(1e-4)'],
  ]),
  ...trainOptimiserMutations,
];

import { changesOf, type Mutation } from './mutation.ts';

/** Changes of what an evaluation puts together: rewards, judges, real images, and which figure is of what. */
export const evaluateRunMutations: readonly Mutation[] = [
  ...changesOf(
    'dpo/evaluate/reward.ts',
    ['tests/dpo/evaluate/reward.test.ts'],
    [
      [
        'a reward may give texts',
        'numbers.findIndex((one) => !Number.isFinite(one))',
        'numbers.findIndex((one) => !Number.isFinite(Number(one)))',
      ],
      ['a reward may give fewer numbers', 'found.length !== captions.length', 'found.length > captions.length'],
      ['a reward may give more numbers', 'found.length !== captions.length', 'found.length < captions.length'],
      ['a reward gets the captions themselves', '[...captions])', 'captions)'],
      ['a reward’s file is not named', "reward.file === undefined ? '' :", "reward.file !== '' ? '' :"],
      ['a reward is checked on one image alone', 'of [1, 2])', 'of [1])'],
      [
        'a mean of zeros and ones has the bootstrap’s interval',
        'reward === 0 || reward === 1',
        'reward === 2',
        'short',
      ],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/evaluate.node.ts',
    ['tests/dpo/evaluate/evaluateParts.test.ts', 'tests/dpo/evaluate/evaluate.test.ts'],
    [
      [
        'a reward is not checked before judges are trained and samples drawn',
        '  if (reward !== undefined) await checkReward(reward, { ...heldOut, size });\n',
        '',
      ],
      [
        'the samples of base and tuned pipeline are swapped',
        "base: await draw('base', base), tuned: await draw('tuned', tuned)",
        "tuned: await draw('base', base), base: await draw('tuned', tuned)",
      ],
      ['the samples after are the base’s again', "await draw('tuned', tuned)", "await draw('tuned', base)"],
      ['the samples are not kept', '    await saveSamples(folder, which, { values, captions, size });\n', ''],
      ['the win rate of an evaluation is reversed', 'winRate(before, after)', 'winRate(after, before)'],
      ['mean rewards before and after are swapped', 'await meanReward(before, ', 'await meanReward(after, '],
      [
        'figures of base and tuned pipeline are swapped',
        '({ base: ofBase[name], tuned: ofTuned[name] })',
        '({ base: ofTuned[name], tuned: ofBase[name] })',
      ],
      ['precision stands in the place of recall', "recall: both('recall')", "recall: both('precision')"],
      [
        'FID stands in the place of the sliced Wasserstein distance',
        "slicedWasserstein: both('slicedWasserstein')",
        "slicedWasserstein: both('fid')",
      ],
      [
        'the base is ranked against the tuned model',
        'params: tuned.params.unet, reference: base.params.unet',
        'params: base.params.unet, reference: tuned.params.unet',
      ],
      [
        'pairs are ranked at all time steps instead of those trained at',
        'await rank(trainedAt);',
        'await rank(task.timesteps);',
      ],
      [
        'accuracy everywhere is that at the time steps trained at',
        '(await rank(task.timesteps)).correct',
        '(await rank(trainedAt)).correct',
      ],
      ['accuracy everywhere is not ranked again', 'isEverywhere ? ranking.correct', '!isEverywhere ? ranking.correct'],
      ['β of the run is not taken', 'settings.beta ?? Number(run?.settings.beta ?? 5000)', 'settings.beta ?? 5000'],
      [
        'the divergence is of the base from the tuned model',
        'tuned: tuned.params.unet, reference: base.params.unet, images',
        'tuned: base.params.unet, reference: tuned.params.unet, images',
      ],
      [
        'the divergence is measured on the base’s samples',
        'imagesTensor(drawn.tuned.slice',
        'imagesTensor(drawn.base.slice',
      ],
      [
        'the frontier is that of the tuned pipeline’s samples',
        'rewardKlFrontier(\n      before,',
        'rewardKlFrontier(\n      after,',
      ],
      [
        'the place on the frontier is by the tuned pipeline’s samples',
        'placeOnFrontier(before, placed)',
        'placeOnFrontier(after, placed)',
      ],
      [
        'the largest divergence is that of the tuned pipeline’s samples',
        'largestDivergence: largestDivergence(before)',
        'largestDivergence: largestDivergence(after)',
      ],
      ['margins are sums of changes', 'margin: mean(ranking.margin)', 'margin: mean(ranking.winnerChange)'],
      [
        'changes of winner and loser are swapped',
        'winnerChange: mean(ranking.winnerChange)',
        'winnerChange: mean(ranking.loserChange)',
      ],
      [
        'implicit accuracy has the bootstrap’s interval',
        'const implicitAccuracy = meanShare(ranking.correct);',
        'const implicitAccuracy = await bootstrapMean(ranking.correct, { key: bootstrapKey });',
        'short',
      ],
      [
        'real images are those that were trained on alone',
        'const real = joined(train, heldOut)',
        'const real = joined(train, train)',
      ],
      [
        'kinds of joined images are swapped',
        'preferred: [...a.preferred, ...b.preferred]',
        'preferred: [...a.preferred, ...b.preferred].reverse()',
      ],
      [
        'samples of the second model are measured with another key',
        'candidates: settings.candidates, key: measureKey }',
        'candidates: settings.candidates, key: values === drawn.base ? measureKey : klKey }',
      ],
      [
        'the beginning of training is that of dpo',
        'lossAtReference(objectiveOf(run.settings as unknown as TrainSettings, numTrainTimesteps))',
        'lossAtReference(dpo({ beta }))',
      ],
      ['a training’s seconds are left out', '(run?.seconds ?? 0) + (performance', '(performance'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/evaluate.node.ts',
    ['tests/dpo/evaluate/evaluateParts.test.ts'],
    [
      [
        'an evaluation leaves adapters out',
        'settings.tuned ?? settings.base, settings.lora',
        'settings.tuned ?? settings.base, null',
      ],
      ['an evaluation draws with another seed', 'size, seed: settings.seed, signal', 'size, seed: 0, signal'],
      ['an evaluation ignores its sampling steps', 'steps: settings.samplingSteps', 'steps: 20'],
      [
        'an evaluation draws without guidance',
        '...withDefaults(settings, base)',
        '...{ ...withDefaults(settings, base), guidance: 1 }',
      ],
      ['an evaluation does not rescale its guidance', 'rescale: settings.guidanceRescale', 'rescale: 0'],
      [
        'an evaluation ranks with another seed',
        'batchSize: settings.batchSize, seed: settings.seed',
        'batchSize: settings.batchSize, seed: 0',
      ],
      [
        'an evaluation ignores the draws of its ranking',
        'draws: settings.draws, key: rankKey',
        'draws: 10, key: rankKey',
      ],
      [
        'an evaluation ignores the draws of its divergence',
        'draws: settings.draws, key: klKey',
        'draws: 10, key: klKey',
      ],
      ['ranking has the key of the divergence', 'key: rankKey, signal', 'key: klKey, signal'],
      [
        'the divergence has the key of the ranking',
        'draws: settings.draws, key: klKey',
        'draws: settings.draws, key: rankKey',
      ],
      ['the keys of an evaluation do not depend on its seed', 'keyFor(settings.seed, purpose)', 'keyFor(0, purpose)'],
      [
        'an evaluation takes real images of all pairs',
        'spreadRows(source, settings.mostPairs)',
        'spreadRows(source, 1000)',
      ],
      ['an evaluation ignores which model is preferred', 'size, settings.preferred, {', 'size, null, {'],
      ['an evaluation ignores its size of images', 'imageSizeOf(settings.size, ', 'imageSizeOf(null, '],
      ['β of an evaluation is that of the run', 'settings.beta ?? Number(', 'Number('],
      [
        'the divergence is of each other’s captions',
        'captions.slice(0, klCount)), size)',
        'captions.slice(0, klCount).reverse()), size)',
      ],
      [
        'the interval of the divergence has another key',
        'bootstrapMean(kl, { key: bootstrapKey })',
        'bootstrapMean(kl, { key: klKey })',
      ],
      [
        'the base lies at the tuned pipeline’s reward',
        'base: { reward: mean(before), kl: 0 }',
        'base: { reward: mean(after), kl: 0 }',
      ],
      [
        'the tuned pipeline lies at the base’s reward',
        'placed = { reward: mean(after)',
        'placed = { reward: mean(before)',
      ],
      [
        'β of the frontier goes by the tuned pipeline’s rewards',
        'mean(before.map((one) => (one - mean(before)) ** 2))',
        'mean(after.map((one) => (one - mean(after)) ** 2))',
      ],
      ['points of the frontier consist of too few samples', 'fewestEffective = 10', 'fewestEffective = 8'],
      [
        'whether a run has a place goes by the tuned pipeline’s rewards',
        'placed.kl < largestDivergence(before)',
        'placed.kl < largestDivergence(after)',
      ],
      [
        'a run is without a place wherever it lies',
        'placed.kl === 0 || placed.kl < largestDivergence(before)',
        'placed.kl === 0',
      ],
      [
        'the report swaps the samples of base and tuned pipeline',
        '...{ summary, drawn, captions,',
        '...{ summary, drawn: { base: drawn.tuned, tuned: drawn.base }, captions,',
      ],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/evaluate.node.ts',
    ['tests/dpo/evaluate/evaluate.test.ts'],
    [
      ['samples have the captions of held-out pairs', 'distinct(train.captions)', 'distinct(heldOut.captions)'],
      [
        'judges learn from held-out images',
        '...{ train, heldOut, size, key: judgeKey, signal }',
        '...{ train: heldOut, heldOut: train, size, key: judgeKey, signal }',
      ],
      ['judges have the key of the measures', 'key: judgeKey, signal', 'key: measureKey, signal'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/judges.ts',
    ['tests/dpo/evaluate/judges.test.ts'],
    [
      ['preferred and other kinds are swapped for the judge', '(is ? 0 : 1)', '(is ? 1 : 0)'],
      ['images that are neither count as other', '.fill(2)]', '.fill(1)]'],
      [
        'the judge’s accuracy is on what it has learnt',
        'classifierAccuracy(kind, unseen.images, unseen.labels)',
        'classifierAccuracy(kind, seen.images, seen.labels)',
      ],
      ['fewer images of neither kind are made', 'Math.ceil(count / 2)', 'Math.ceil(count / 8)'],
      ['the judge of captions learns without held-out images', 'const all = [train, heldOut];', 'const all = [train];'],
      [
        'the judge of kinds ignores its own images',
        'await ofKinds(kindImages, size, kindKey)',
        'await ofKinds(train, size, kindKey)',
      ],
      ['the judge of kinds ignores its epochs', 'epochs: kindEpochs, ...shared', 'epochs: 24, ...shared'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/judgesFolder.node.ts',
    ['tests/dpo/evaluate/judgesFolder.test.ts'],
    [
      [
        'running statistics of judges are not saved',
        '=> ({ params, statistics });',
        '=> ({ params, statistics: [] as typeof statistics });',
      ],
      ['the judge of captions is read as that of kinds', "kind: await load('kind')", "kind: await load('caption')"],
      ['the accuracy of judges is not checked', '.every(Number.isFinite)', '.some(Number.isFinite)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/realImages.ts',
    ['tests/dpo/evaluate/realImages.test.ts'],
    [
      ['by labels, losers are the preferred kind', "side === 'winner' : pair", "side === 'loser' : pair"],
      ['all models but the preferred one are of its kind', '=== preferred,', '!== preferred,'],
      ['both images of a pair are the winner', 'prepareImage(pair[side], size', 'prepareImage(pair.winner, size'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/neither.ts',
    ['tests/dpo/evaluate/classifier.test.ts'],
    [
      [
        'all images of neither kind are noise',
        'where(kind.equal(0), noisy',
        'where(kind.equal(0).logicalNot().logicalOr(kind.equal(0)), noisy',
      ],
      ['an image may be blended with itself', 'random.randint(otherKey, [], 1,', 'random.randint(otherKey, [], 0,'],
      ['washed-out images keep their contrast', 'draw(contrastKey, 0.1, 0.45)', 'draw(contrastKey, 0.1, 1)'],
      ['an image under noise is as clear as before', 'draw(signalKey, 0, 0.6)', 'draw(signalKey, 1, 1.6)'],
      ['noise is weak', 'draw(levelKey, 0.4, 1.2)', 'draw(levelKey, 0.04, 0.12)'],
      ['an image under noise may be as clear as before', 'draw(signalKey, 0, 0.6)', 'draw(signalKey, 0, 1)'],
      ['washed-out images are grey of one level', 'draw(greyKey, -0.2, 1)', 'draw(greyKey, 0.4, 0.41)'],
      ['washed-out images are black', 'draw(greyKey, -0.2, 1)', 'draw(greyKey, -1, -0.9)'],
      ['blends are mostly the image itself', 'draw(shareKey, 0.35, 0.65)', 'draw(shareKey, 0.65, 0.95)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/trainClassifier.ts',
    ['tests/dpo/evaluate/trainClassifier.test.ts', 'tests/dpo/evaluate/classifier.test.ts'],
    [
      ['the classifier’s images are never mirrored', 'bernoulli(flipKey, 0.5,', 'bernoulli(flipKey, 0,'],
      [
        'the classifier’s images are never moved to the right',
        'return along(along(flipped, 2, downKey), 3, rightKey);',
        'return along(flipped, 2, downKey);',
      ],
      ['the classifier’s images move by up to two pixels', '-1, 2))', '-2, 3))'],
      ['every epoch of the classifier has one order', 'random.foldIn(orderKey, epoch)', 'orderKey'],
      ['every batch of the classifier is augmented by one key', 'random.foldIn(augmentKey, step)', 'augmentKey'],
      [
        'the classifier ignores its learning rate',
        '{ learningRate: learningRate * rate(step) }',
        '{ learningRate: 4e-3 * rate(step) }',
      ],
      ['the classifier’s learning rate is constant', 'learningRate * rate(step) }', 'learningRate }'],
      ['the classifier has no warm-up', 'warmupSteps: Math.ceil(steps / 20)', 'warmupSteps: 0'],
      [
        'the classifier’s learning rate falls as a line',
        "learningRateSchedule('cosine', {",
        "learningRateSchedule('linear', {",
      ],
      ['the classifier’s weights do not decay', 'weightDecay: 0.01', 'weightDecay: 0'],
      ['the classifier ignores its epochs', 'epoch < epochs; epoch++', 'epoch < 24; epoch++'],
      [
        'the classifier’s running statistics are not kept',
        'state: { optimiser: next, statistics }',
        'state: { optimiser: next, statistics: state.statistics }',
      ],
      [
        'every batch of the classifier is the first',
        'order.slice(batch * size, (batch + 1) * size)',
        'order.slice(0, size)',
      ],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/classifier.ts',
    ['tests/dpo/evaluate/classifier.test.ts'],
    [
      ['accuracy counts what is wrong', 'label === classes[i]).length', 'label !== classes[i]).length'],
      ['rows beyond a full batch are lost', 'Math.min(from + i, count - 1)', 'Math.min(i, count - 1)'],
      ['the features are the logits', '({ features }) => features', '({ logits }) => logits'],
    ],
  ),
  ...changesOf(
    'dpo/objectives/lossAtReference.ts',
    ['tests/dpo/objectives/lossAtReference.test.ts'],
    [
      ['every objective is said to begin at one loss', 'first === second ? first : undefined', 'first'],
      ['the loss at the reference is that of another model', 'reference: prediction,', 'reference: prediction.mul(2),'],
    ],
  ),
];

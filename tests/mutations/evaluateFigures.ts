import { changesOf, type Mutation } from './mutation.ts';

/** Changes of the figures: divergence, distances, shares, their intervals, and the frontier. */
export const evaluateFiguresMutations: readonly Mutation[] = [
  ...changesOf(
    'dpo/evaluate/klEstimate.ts',
    ['tests/dpo/evaluate/klEstimate.test.ts'],
    [
      [
        'the divergence is a mean over the numbers of an image, not a sum',
        'apart.sum(apart',
        'apart.mean(apart',
        'short',
      ],
      [
        'the divergence takes constant weights for those of the evidence bound',
        "timestepWeights('elbo', ",
        "timestepWeights('constant', ",
        'short',
      ],
      ['the divergence sums the draws instead of averaging them', 'Number(value) / draws', 'Number(value)'],
      ['the divergence keeps the last draw alone', '(kl[i] as number) + Number(value)', 'Number(value)'],
      ['the divergence is not of squares', '.sub(ask(reference)).square()', '.sub(ask(reference)).abs()'],
      ['the divergence is that of the reference from itself', 'ask(tuned).sub', 'ask(reference).sub'],
      [
        'the divergence is asked for at time step 0',
        'modelTimesteps(schedule, timesteps)',
        'modelTimesteps(schedule, timesteps.mul(0))',
      ],
      [
        'the divergence of all images is that of the first',
        'kl[i] = (kl[i] as number) + Number(value)',
        'kl[i] = (kl[i] as number) + Number(values[0])',
      ],
      ['all draws of the divergence have one key', 'random.foldIn(key, draw)', 'key'],
      [
        'the last time step is never drawn for the divergence',
        '0, schedule.numTrainTimesteps)',
        '0, schedule.numTrainTimesteps - 1)',
      ],
      ['the first time step is never drawn for the divergence', '[count], 0, schedule', '[count], 1, schedule'],
      [
        'the divergence is measured on images without noise',
        'addNoise(schedule, images, random.normal(noiseKey, images.shape), timesteps)',
        'images',
      ],
      [
        'the divergence is measured on noise without the images',
        'addNoise(schedule, images, ',
        'addNoise(schedule, images.mul(0), ',
      ],
      [
        'the noise of the divergence has the key of its time steps',
        'random.normal(noiseKey,',
        'random.normal(timeKey,',
      ],
      [
        'the divergence weighs all images by the first one’s time step',
        'take(weights, timesteps)',
        'take(weights, timesteps.mul(0))',
      ],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/measureSamples.ts',
    ['tests/dpo/evaluate/measureSamples.test.ts'],
    [
      ['distances are to the images that are not preferred', '(is ? [i] : [])', '(is ? [] : [i])', 'short'],
      ['distances are to all real images', '(is ? [i] : [])', '[i]'],
      [
        'nearest is among the preferred images alone',
        'nearestNeighbours(features, allReal)',
        'nearestNeighbours(features, preferred)',
      ],
      [
        'precision and recall of samples are swapped',
        'precisionRecall(features, preferred)',
        'precisionRecall(preferred, features)',
        'short',
      ],
      ['the preferred share counts the other kind', 'preferredShare: shareOf(0)', 'preferredShare: shareOf(1)'],
      ['the share of neither counts the other kind', 'neitherShare: shareOf(2)', 'neitherShare: shareOf(1)'],
      ['KID stands in the place of FID', 'fid: fid(features', 'fid: kid(features'],
      [
        'samples are scored by the other kind',
        'probabilities[i * judges.kind.classes.length]',
        'probabilities[i * judges.kind.classes.length + 1]',
      ],
      [
        'captions are matched in the features of the judge of kinds',
        'classifierFeatures(judges.caption, images), captions',
        'classifierFeatures(judges.kind, images), captions',
      ],
      ['KID is to all real images', 'kid(features, preferred)', 'kid(features, allReal)'],
      ['FID is to all real images', 'fid(features, preferred)', 'fid(features, allReal)'],
      [
        'the sliced Wasserstein distance is to all real images',
        'slicedWasserstein(features, preferred,',
        'slicedWasserstein(features, allReal,',
      ],
      [
        'precision and recall are of all real images',
        'precisionRecall(features, preferred)',
        'precisionRecall(features, allReal)',
      ],
      ['samples are not cut off at −1 and 1', 'Math.min(1, Math.max(-1, value))', 'value'],
      [
        'real images of the wrong kind are compared, in the features of captions',
        'allReal = await classifierFeatures(judges.kind',
        'allReal = await classifierFeatures(judges.caption',
      ],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/precisionRecall.ts',
    ['tests/dpo/evaluate/distances.test.ts', 'tests/dpo/evaluate/confidence.test.ts'],
    [
      [
        'precision and recall are swapped',
        'precision: share(samples, real), recall: share(real, samples)',
        'precision: share(real, samples), recall: share(samples, real)',
        'short',
      ],
      ['a ball reaches to one neighbour further', 'others.sort()[k - 1]', 'others.sort()[k]'],
      ['a row is its own neighbour', 'j < i ? j : j + 1', 'j'],
      ['a row on the edge of a ball is outside', '<= radius', '< radius'],
      ['distances to neighbours stay squared', 'distances.map(Math.sqrt)', 'distances'],
      ['of equally near neighbours the last is taken', 'if (distance < (distances[i]', 'if (distance <= (distances[i]'],
      [
        'the default reaches to the nearest neighbour, not the third',
        'neighbours = 3, confidence',
        'neighbours = 1, confidence',
      ],
      [
        'precision has the interval of as many observations as there are real rows',
        'neighbours)), of.count',
        'neighbours)), support.count',
      ],
      ['the confidence of precision is dropped', 'of.count, confidence)', 'of.count)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/proportions.ts',
    ['tests/dpo/evaluate/proportions.test.ts', 'tests/dpo/evaluate/confidence.test.ts'],
    [
      [
        'the win rate is reversed',
        'if (b > a) wins++;\n    if (b < a) losses++;',
        'if (b < a) wins++;\n    if (b > a) losses++;',
        'short',
      ],
      ['ties count as losses', 'wins + ties / 2', 'wins'],
      ['ties count as wins', 'wins + ties / 2', 'wins + ties'],
      ['the sign test counts ties', 'signTest(wins, losses),', 'signTest(wins + ties, losses),'],
      ['the sign test is one-sided', 'Math.min(1, 2 * tail)', 'Math.min(1, tail)'],
      ['the sign test may give more than 1', 'Math.min(1, 2 * tail)', '2 * tail'],
      ['the sign test leaves out the observed count', 'i <= Math.min(wins, losses)', 'i < Math.min(wins, losses)'],
      [
        'Wilson’s interval has its centre at the share',
        'const centre = (share + z ** 2 / (2 * n)) / (1 + z ** 2 / n);',
        'const centre = share;',
      ],
      ['Wilson’s interval lacks its second term under the root', ' + z ** 2 / (4 * n ** 2)', ''],
      [
        'a share of all is certain',
        'low: wins === 0 ? 0 : centre - half',
        'low: wins === 0 ? 0 : wins === n ? 1 : centre - half',
        'short',
      ],
      [
        'a share of none is certain',
        'high: wins === n ? 1 : centre + half',
        'high: wins === n ? 1 : wins === 0 ? 0 : centre + half',
      ],
      ['the interval is for one side', 'normalQuantile((1 + confidence) / 2)', 'normalQuantile(confidence)'],
      [
        'the confidence of a win rate is dropped',
        'wilsonInterval(wins + ties / 2, before.length, confidence)',
        'wilsonInterval(wins + ties / 2, before.length)',
      ],
      ['the confidence of a mean share is dropped', '    shares.length,\n    confidence,', '    shares.length,'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/bootstrap.ts',
    ['tests/dpo/evaluate/bootstrap.test.ts'],
    [
      [
        'the sides of a bootstrap interval are swapped',
        'low: quantile(values, (1 - confidence) / 2)',
        'low: quantile(values, (1 + confidence) / 2)',
      ],
      [
        'a bootstrap interval has the whole rest at its lower side',
        'low: quantile(values, (1 - confidence) / 2)',
        'low: quantile(values, 1 - confidence)',
      ],
      [
        'a bootstrap interval has the whole rest at its upper side',
        'high: quantile(values, (1 + confidence) / 2)',
        'high: quantile(values, confidence)',
      ],
      [
        'the last observation is never drawn again',
        '[resamples, count], 0, count)',
        '[resamples, count], 0, Math.max(1, count - 1))',
      ],
      ['resamples overlap', 'drawn.subarray(i * count, (i + 1) * count)', 'drawn.subarray(i, i + count)'],
      ['values of resamples are not sorted', '  values.sort();\n', ''],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/figure.ts',
    ['tests/dpo/evaluate/bootstrap.test.ts'],
    [
      ['quantiles lie between the wrong neighbours', 'below + (above - below)', 'above + (below - above)'],
      ['quantiles have no linear part', ' * (at - Math.floor(at))', ' * 0'],
      ['quantiles go by the count, not the count less 1', 'q * (sorted.length - 1)', 'q * sorted.length - 0.5'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/jackknife.ts',
    [
      'tests/dpo/evaluate/jackknife.test.ts',
      'tests/dpo/evaluate/distances.test.ts',
      'tests/dpo/evaluate/confidence.test.ts',
    ],
    [
      [
        'the jackknife is the variance of the mean of its values',
        '((values.length - 1) / values.length) *',
        '(1 / values.length / (values.length - 1)) *',
      ],
      ['the jackknife lacks its factor', '((values.length - 1) / values.length) *', '1 *'],
      [
        'the jackknife leaves out rows of the first set only',
        ' +\n    jackknifeVariance(leftOut(y, (rest) => statistic(x, rest)))',
        '',
      ],
      ['the jackknife keeps the group that it is to leave out', 'row % count !== group', 'row % count === group'],
      ['the jackknife leaves out one row rather than a group', 'row % count !== group', 'row !== group'],
      [
        'the jackknife takes other groups than asked',
        'Math.min(groups, Math.floor(set.count / 2))',
        'Math.min(20, Math.floor(set.count / 2))',
      ],
      ['the interval of a jackknife is half as wide', '* Math.sqrt(variance)', '* Math.sqrt(variance / 4)'],
      ['the confidence of a jackknife is dropped', 'normalQuantile((1 + confidence) / 2)', 'normalQuantile(0.975)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/fid.ts',
    ['tests/dpo/evaluate/distances.test.ts'],
    [
      ['FID takes the distance of means, not its square', 'shift ** 2 +', 'Math.abs(shift) +'],
      ['FID divides covariances by n', '/ (count - 1)', '/ count'],
      ['FID takes the root of the covariances once', '2 * Math.sqrt(Math.max(0, value))', '2 * Math.max(0, value)'],
      ['FID leaves the cross term out once', 'distance -= 2 *', 'distance -='],
      ['FID takes the fourth root for the square root', '** 0.25', '** 0.125'],
      ['FID does not centre', 'value - (mean[i] as number))', 'value)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/kid.ts',
    ['tests/dpo/evaluate/distances.test.ts', 'tests/dpo/evaluate/confidence.test.ts'],
    [
      ['the kernel of KID does not divide by the width', 'dot(a, b) / x.width + 1', 'dot(a, b) + 1'],
      ['the kernel of KID is of degree 2', '+ 1) ** 3', '+ 1) ** 2'],
      ['KID counts rows with themselves', 'a === b ? row - (values[i * b.count + i] as number) : row', 'row'],
      ['KID takes the term between once', '- (2 * between) / (m * n);', '- between / (m * n);'],
      ['KID leaves rows out of the first set only', ' + jackknifeVariance(withoutY)', ''],
      ['KID takes a left out row off once', '(within - 2 * own)', '(within - own)'],
      ['the confidence of KID is dropped', 'normalQuantile((1 + confidence) / 2)', 'normalQuantile(0.975)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/slicedWasserstein.ts',
    ['tests/dpo/evaluate/distances.test.ts'],
    [
      [
        'the sliced Wasserstein distance is a mean of squares without the root',
        'Math.sqrt(squares.reduce',
        'Number(squares.reduce',
      ],
      ['directions are not of length 1', 'direction.map((value) => value / length)', 'direction'],
      ['the sliced Wasserstein distance is of absolute values', '(b[j] as number)) ** 2', '(b[j] as number)) ** 1'],
      [
        'projections are not sorted',
        'dot(rowOf(features, row), direction)).sort()',
        'dot(rowOf(features, row), direction))',
      ],
      ['all directions are one', 'normal.subarray(i * width, (i + 1) * width)', 'normal.subarray(0, width)'],
      ['the sliced Wasserstein distance takes rows as equally many', '(next - q) *', '(1 / a.length) *'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/captionMatch.ts',
    ['tests/dpo/evaluate/captionMatch.test.ts'],
    [
      ['a match is with the farthest of a caption’s images', 'Math.min(\n        ...', 'Math.max(\n        ...'],
      ['a sample’s own caption is among the others', 'names.filter((name) => name !== own)', 'names'],
      ['a tie is a match', 'return 1 / (1 + distances.filter((other) => other === ownDistance).length)', 'return 1'],
      [
        'a tie is no match',
        'distances.some((other) => other < ownDistance)',
        'distances.some((other) => other <= ownDistance)',
      ],
      [
        'all samples have the candidates of the first',
        'chances.subarray(i * (candidates - 1), (i + 1) * (candidates - 1))',
        'chances.subarray(0, candidates - 1)',
      ],
      [
        'the first captions are always the candidates',
        'const j = i + Math.floor((chances[i] as number) * (rest.length - i));',
        'const j = i;',
      ],
      [
        'one candidate fewer is drawn',
        '[count, candidates - 1]));',
        '[count, candidates - 1])).then((all) => all.map((one) => one * 0.5));',
      ],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/frontier.ts',
    ['tests/dpo/evaluate/frontier.test.ts'],
    [
      ['the gain of the frontier is not above the mean', 'reward: mean + gain', 'reward: gain'],
      [
        'the frontier loses its digits at small divergences',
        'above.every((reward) => Math.abs(reward) < beta)',
        'above.length === 0',
      ],
      ['a divergence of 0 has a share', 'efficiency: Number.NaN', 'efficiency: 0'],
      ['a divergence of 0 is searched for', 'if (kl === 0) {', 'if (kl < 0) {'],
      ['the gap to the frontier is reversed', 'gap: reward - frontier.reward,', 'gap: frontier.reward - reward,'],
      [
        'the share of what is possible is counted from 0, not from the mean',
        'efficiency: (reward - mean) / gain',
        'efficiency: reward / gain',
      ],
      [
        'the divergence of the frontier lacks the mean of the weights',
        'weightedMean(below, weights) - logMean',
        'weightedMean(below, weights)',
      ],
      ['the frontier is searched the wrong way', '.kl > kl) low = middle', '.kl < kl) low = middle'],
      ['equal highest rewards count once', 'values.filter((value) => value === largest).length', '1'],
      ['effective samples are Σ w/Σ w²', 'weights.reduce((a, b) => a + b) ** 2', 'weights.reduce((a, b) => a + b)'],
    ],
  ),
  ...changesOf(
    'dpo/evaluate/normalQuantile.ts',
    ['tests/dpo/evaluate/frontier.test.ts'],
    [['the normal quantile stops after one step', 'step < 100', 'step < 1']],
  ),
];

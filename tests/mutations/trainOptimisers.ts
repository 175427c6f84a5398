import { changes, type Mutation } from './mutation.ts';

/** Gradients, averages, adapters, optimisers and learning rates of training. */
export const trainOptimiserMutations: readonly Mutation[] = [
  ...changes({ file: 'nn/optimisers/gradients.ts', tests: 'tests/dpo/train/training.test.ts' }, [
    ['accumulated gradients are summed instead of averaged', 'total.div(count)', 'total', 'short'],
  ]),
  ...changes({ file: 'nn/ema.ts', tests: 'tests/nn/optimisers.test.ts', only: 'averages of halves' }, [
    ['the average is rounded at every step', '.mul(rest));', '.mul(rest)).cast(old.dtype);'],
  ]),
  ...changes({ file: 'nn/ema.ts', tests: 'tests/nn/optimisers.test.ts' }, [
    [
      'the decay of the average grows more slowly at first',
      '(1 + since) / (10 + since)',
      '(1 + since) / (11 + since)',
      'short',
    ],
  ]),
  ...changes({ file: 'nn/optimisers/gradients.ts', tests: 'tests/nn/optimisers.test.ts', only: 'gradients' }, [
    [
      'clipped gradients are rounded to halves',
      'widened(g).div(factor.cast(widened(g).dtype))',
      'widened(g).div(factor.cast(widened(g).dtype)).cast(g.dtype)',
    ],
  ]),
  ...changes({ file: 'nn/lora/lora.ts', tests: 'tests/nn/lora.test.ts' }, [
    ['all adapters begin with one key', 'random.foldIn(key, i)', 'random.foldIn(key, 0)'],
    ['alpha is 1 unless it is given', 'alpha = rank, init', 'alpha = 1, init'],
    ['normal first values are not scaled by the rank', '.mul(1 / rank)', '.mul(1)'],
    ['merging ignores its strength', 'loraScale(adapter) * strength', 'loraScale(adapter)'],
    ['attaching ignores its strength', 'alpha: alpha * strength', 'alpha'],
    ['taking adapters away adds them', 'strength: -strength', 'strength'],
  ]),
  ...changes({ file: 'nn/lora/adapter.ts', tests: 'tests/nn/lora.test.ts' }, [
    ['alpha is not divided by the rank', 'alpha / (down.shape[0] as number)', 'alpha'],
  ]),
  ...changes({ file: 'nn/optimisers/adam.ts', tests: 'tests/nn/optimisers.test.ts' }, [
    ['the bias of the first moment stays', 'learningRate / (1 - beta1 ** steps)', 'learningRate'],
    ['the bias of the second moment stays', 'Math.sqrt(1 - beta2 ** steps)', '1'],
    ['ε stands under the root', 'v.sqrt().div(root).add(eps)', 'v.div(root * root).add(eps).sqrt()'],
    ['weight decay has the other sign', '1 - learningRate * weightDecay', '1 + learningRate * weightDecay'],
    ["AdamW's default decays nothing", 'weightDecay = 0.01', 'weightDecay = 0'],
  ]),
  ...changes({ file: 'nn/optimisers/adafactor.ts', tests: 'tests/nn/optimisers.test.ts' }, [
    ["Adafactor's weightDecay is ignored", 'weightDecay === 0 ? p', 'weightDecay >= 0 ? p', 'short'],
    ["Adafactor's decay is not scaled by the learning rate", 'p.mul(weightDecay).mul(scale)', 'p.mul(weightDecay)'],
    ['updates are not limited', '.div(rootMeanSquare(update).div(clipThreshold).maximum(1))', ''],
    ['the rate does not follow from the step', 'relativeStep ? learningRate * ownRate', 'relativeStep ? learningRate'],
    ['the least scale is left out', 'rootMeanSquare(p).maximum(leastScale)', 'rootMeanSquare(p)'],
  ]),
  ...changes({ file: 'nn/optimisers/lion.ts', tests: 'tests/nn/optimisers.test.ts' }, [
    ["Lion's betas are exchanged", '[beta1, beta2] = [0.9, 0.99]', '[beta1, beta2] = [0.99, 0.9]'],
    ["Lion's weight decay is ignored", '1 - learningRate * weightDecay', '1'],
  ]),
  ...changes({ file: 'nn/optimisers/sgd.ts', tests: 'tests/nn/optimisers.test.ts' }, [
    ['Nesterov looks no step ahead', 'nesterov\n            ?', '!nesterov\n            ?'],
    ['weight decay is subtracted', 'g.add(p.mul(weightDecay))', 'g.sub(p.mul(weightDecay))'],
  ]),
  ...changes({ file: 'nn/optimisers/learningRate.ts', tests: 'tests/nn/optimisers.test.ts' }, [
    [
      'the warm-up begins at its second step',
      'step / Math.max(1, warmupSteps)',
      '(step + 1) / Math.max(1, warmupSteps)',
    ],
    ['constant warms up', "const warms = name !== 'constant'", 'const warms = true'],
  ]),
  ...changes({ file: 'nn/ema.ts', tests: 'tests/nn/optimisers.test.ts' }, [
    ['minDecay is ignored', 'Math.max(Math.min(grown, decay), minDecay)', 'Math.min(grown, decay)'],
    ['the default decay is 0.999', 'decay = 0.9999', 'decay = 0.999'],
    ['the warm-up counts one step more', 'step - updateAfterStep - 1', 'step - updateAfterStep'],
  ]),
];

import type { Mutation } from './mutation.ts';

export const trainMutations: readonly Mutation[] = [
  {
    name: 'the decay of the average grows more slowly at first',
    file: 'nn/ema.ts',
    find: '(1 + since) / (10 + since)',
    replace: '(1 + since) / (11 + since)',
    tests: ['tests/nn/optimisers.test.ts'],
    short: true,
  },
];

import type { Mutation } from './mutation.ts';

export const evaluateMutations: readonly Mutation[] = [];

import type { Mutation } from './mutation.ts';

export const tensorMutations: readonly Mutation[] = [];

import type { Mutation } from './mutation.ts';

export const diffusionMutations: readonly Mutation[] = [];

import type { Mutation } from './mutation.ts';

export const objectivesMutations: readonly Mutation[] = [];

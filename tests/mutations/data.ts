import type { Mutation } from './mutation.ts';

export const dataMutations: readonly Mutation[] = [];

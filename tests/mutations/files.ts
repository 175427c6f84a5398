import type { Mutation } from './mutation.ts';

export const filesMutations: readonly Mutation[] = [];

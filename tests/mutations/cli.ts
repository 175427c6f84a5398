import type { Mutation } from './mutation.ts';

export const cliMutations: readonly Mutation[] = [];

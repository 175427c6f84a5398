import { cliMutations } from './cli.ts';
import { dataMutations } from './data.ts';
import { diffusionMutations } from './diffusion.ts';
import { evaluateMutations } from './evaluate.ts';
import { filesMutations } from './files.ts';
import type { Mutation } from './mutation.ts';
import { objectivesMutations } from './objectives.ts';
import { samplingMutations } from './sampling.ts';
import { tensorMutations } from './tensor.ts';
import { trainMutations } from './train.ts';

/** All mutations, by the part of the project that they change. */
export const areas: Readonly<Record<string, readonly Mutation[]>> = {
  tensor: tensorMutations,
  diffusion: diffusionMutations,
  files: filesMutations,
  data: dataMutations,
  objectives: objectivesMutations,
  train: trainMutations,
  evaluate: evaluateMutations,
  cli: cliMutations,
  sampling: samplingMutations,
};

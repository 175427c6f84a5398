import { layerMutations } from './layers.ts';
import { loraFileMutations } from './loraFiles.ts';
import type { Mutation } from './mutation.ts';
import { networkMutations } from './networks.ts';
import { optimiserMutations } from './optimisers.ts';
import { samplerMutations } from './samplers.ts';
import { sigmaSamplerMutations } from './sigmaSamplers.ts';
import { singleFileMutations } from './singleFiles.ts';

/** Samplers, noise schedules, UNets and their configurations, single files, LoRA files, and the layers and optimisers under them. */
export const diffusionMutations: readonly Mutation[] = [
  ...samplerMutations,
  ...sigmaSamplerMutations,
  ...networkMutations,
  ...layerMutations,
  ...optimiserMutations,
  ...singleFileMutations,
  ...loraFileMutations,
];

import { autoencoders } from './autoencoders.ts';
import { dpoFamily } from './dpo.ts';
import type { Family } from './family.ts';
import { loras } from './loras.ts';
import { manifests } from './manifests.ts';
import { modules } from './modules.ts';
import { objectives } from './objectives.ts';
import { operators } from './operators.ts';
import { pipelines } from './pipelines.ts';
import { preprocess } from './preprocess.ts';
import { schedulers } from './schedulers.ts';
import { singleFiles } from './singleFiles.ts';
import { textEncoders } from './textEncoders.ts';
import { tokenizers } from './tokenizers.ts';
import { unets } from './unets.ts';

/** All kinds of golden data, in the order in which they may pick files. */
export const families: readonly Family[] = [
  // Before the families of the parts that single files come with.
  singleFiles,
  loras,
  dpoFamily,
  objectives,
  operators,
  modules,
  schedulers,
  unets,
  autoencoders,
  textEncoders,
  tokenizers,
  manifests,
  pipelines,
  preprocess,
];

import { annotationCases } from './annotations.ts';
import { contractionCases } from './contractions.ts';
import { convCases } from './conv.ts';
import { elementwiseCases } from './elementwise.ts';
import type { GradientCase } from './gradientCase.ts';
import { indexingCases } from './indexing.ts';
import { layerCases } from './layers.ts';
import { movementCases } from './movement.ts';
import { reductionCases } from './reductions.ts';
import { spatialCases } from './spatial.ts';

/** Every operator that has a gradient, by family. */
export const families: Readonly<Record<string, readonly GradientCase[]>> = {
  elementwise: elementwiseCases,
  reductions: reductionCases,
  movement: movementCases,
  indexing: indexingCases,
  contractions: contractionCases,
  conv: convCases,
  spatial: spatialCases,
  layers: layerCases,
  annotations: annotationCases,
};

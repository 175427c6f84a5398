import { evaluateFiguresMutations } from './evaluateFigures.ts';
import { evaluateReportMutations } from './evaluateReport.ts';
import { evaluateRunMutations } from './evaluateRun.ts';
import type { Mutation } from './mutation.ts';

export const evaluateMutations: readonly Mutation[] = [
  ...evaluateFiguresMutations,
  ...evaluateReportMutations,
  ...evaluateRunMutations,
];

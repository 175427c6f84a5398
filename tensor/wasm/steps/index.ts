import type { Value } from '../../compiler/program.ts';
import { argMax } from './argMax.ts';
import { argSort } from './argSort.ts';
import { cumsum } from './cumsum.ts';
import type { StepPlan } from './rows.ts';
import { scatterAdd } from './scatterAdd.ts';

/** Plans one of the steps that are neither loops nor contractions. */
export function planStep(value: Value): StepPlan {
  switch (value.primitive) {
    case 'argMax':
      return argMax(value);
    case 'cumsum':
      return cumsum(value);
    case 'argSort':
      return argSort(value);
    case 'scatterAdd':
      return scatterAdd(value);
    default:
      throw new Error(`wasm: ${value.primitive} is not a step`);
  }
}

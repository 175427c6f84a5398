import type { Value } from '../../compiler/program.ts';
import type { Kernel } from '../wgsl/shader.ts';
import { argMax } from './argMax.ts';
import { argSort } from './argSort.ts';
import { cumsum } from './cumsum.ts';
import type { StepOptions } from './rows.ts';
import { scatterAdd } from './scatterAdd.ts';

/** The kernels of one of the steps that are neither loops nor contractions. */
export function stepKernels(value: Value, options: StepOptions): Kernel[] {
  switch (value.primitive) {
    case 'argMax':
      return argMax(value, options);
    case 'cumsum':
      return cumsum(value, options);
    case 'argSort':
      return argSort(value, options);
    case 'scatterAdd':
      return scatterAdd(value, options);
    default:
      throw new Error(`webgpu: ${value.primitive} is not a step`);
  }
}

import type { LoopKernel } from '../../compiler/kernel.ts';
import type { Kernel } from '../wgsl/shader.ts';
import type { LoopOptions } from './loops.ts';
import { mapKernel } from './mapKernel.ts';
import { rowKernels } from './rowKernels.ts';

/** Whether every element of a kernel is made on its own. */
export const isMap = ({ stages }: LoopKernel): boolean => stages.every(({ kind }) => kind === 'map');

/** The shaders of a kernel: one, but for few long rows, which are reduced in two steps. */
export const loopKernels = (kernel: LoopKernel, options: LoopOptions): Kernel[] =>
  isMap(kernel) ? [mapKernel(kernel, options)] : rowKernels(kernel, options);

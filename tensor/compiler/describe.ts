import { sizeOf } from '../shape.ts';
import { stageIterations } from './iterations.ts';
import type { LoopKernel } from './kernel.ts';
import type { Value } from './program.ts';
import { allParts } from './scalars.ts';

/** The operators of a kernel in order, for reports. */
export function describeLoops({ stages }: LoopKernel): string {
  const operators = stages.flatMap(({ scalar, kind }) => [
    ...[...allParts(scalar)].flatMap((part) => (part.kind === 'apply' ? [part.operator] : [])),
    ...(kind === 'map' ? [] : [kind]),
  ]);
  return operators.join(' ') || 'copy';
}

/** The arithmetic operations of a kernel: operators and reductions of all iterations. */
export const loopFlops = (kernel: LoopKernel): number =>
  kernel.stages.reduce((sum, stage) => {
    const applied = [...allParts(stage.scalar)].filter(({ kind }) => kind === 'apply').length;
    return sum + (applied + (stage.kind === 'map' ? 0 : 1)) * stageIterations(kernel, stage);
  }, 0);

/** The multiplications and additions of a matrix product, a convolution or attention. */
export function contractionFlops({ primitive, inputs, shape }: Value): number {
  const [a, b] = inputs as readonly [Value, Value];
  if (primitive === 'attention' || primitive === 'attentionGradient') {
    const [keys, width] = (inputs[2] as Value).shape.slice(-2) as [number, number];
    const [scores, dim] = [sizeOf(a.shape.slice(0, -1)) * keys, a.shape.at(-1) as number];
    return 2 * scores * (primitive === 'attention' ? dim + width : 3 * dim + 2 * width);
  }
  // An element of a convolution adds up as many products as one output channel has weights.
  const products = primitive === 'matmul' ? (a.shape.at(-1) as number) : sizeOf(b.shape.slice(1));
  return 2 * sizeOf(shape) * products;
}

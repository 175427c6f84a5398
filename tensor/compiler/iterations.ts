import type { LoopKernel, Stage } from './kernel.ts';

/** How many iterations nested loops have: the product of their sizes. */
export const iterations = (loops: readonly { readonly size: number }[]): number =>
  loops.reduce((product, { size }) => product * size, 1);

/** How often a stage of a kernel runs: a map over the outer loops alone does not walk the inner ones. */
export const stageIterations = ({ outer, inner }: LoopKernel, { kind, over }: Stage): number =>
  iterations(outer) * (over === 'outer' && kind === 'map' ? 1 : iterations(inner));

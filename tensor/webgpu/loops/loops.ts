import type { Variable } from '../../compiler/position.ts';
import type { Value } from '../../compiler/program.ts';
import type { Place, Shader, ShaderTraits } from '../wgsl/shader.ts';
import type { KernelContext } from './scalarCode.ts';

export interface LoopOptions {
  /** Whether work is divided for a CPU that runs shaders, where barriers are dear. */
  readonly software: boolean;
  readonly traits: ShaderTraits;
  reportNumber(gather: Value): number;
  /** Leaves that a kernel overwrites, and what is written there. */
  readonly inPlace?: ReadonlyMap<Place, Place>;
}

/** Sets loops to what a number stands for. */
export function decode(number: string, loops: readonly Variable[], context: Pick<KernelContext, 'loops'>): string {
  let stride = 1;
  const lines = [...loops].reverse().map((one, i) => {
    const quotient = stride === 1 ? number : `${number} / ${stride}u`;
    stride *= Math.max(1, one.size);
    const isFirst = i === loops.length - 1;
    return `let ${context.loops.get(one)} = i32(${isFirst ? quotient : `${stride === one.size ? quotient : `(${quotient})`} % ${Math.max(1, one.size)}u`});\n`;
  });
  return lines.join('');
}

export const nameLoops = (shader: Shader, loops: readonly Variable[]) =>
  new Map(loops.map((one) => [one, shader.name()]));

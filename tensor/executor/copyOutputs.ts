import type { Program, Value } from '../compiler/program.ts';

/** Calls `copy` for each output that no kernel writes, because it is a leaf or repeats an earlier output. */
export function copyOutputs<Buffer>(
  { outputs }: Program,
  leaves: readonly Buffer[],
  results: readonly Buffer[],
  copy: (source: Buffer, target: Buffer, output: Value) => void,
): void {
  outputs.forEach((output, i) => {
    const source = output.primitive === 'leaf' ? leaves[output.slot] : results[outputs.indexOf(output)];
    const target = results[i];
    if (source !== undefined && target !== undefined && source !== target) copy(source, target, output);
  });
}

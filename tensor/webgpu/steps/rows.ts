import type { Value } from '../../compiler/program.ts';
import { sizeOf } from '../../shape.ts';
import { type Shader, type ShaderTraits, typeOf } from '../wgsl/shader.ts';

export interface StepOptions {
  readonly traits: ShaderTraits;
  reportNumber(value: Value): number;
}

/** A row-major array as [before, length, after] around one axis. */
export function rowsAlong({ shape }: Value, axis: number) {
  const after = sizeOf(shape.slice(axis + 1));
  const length = shape[axis] as number;
  const rows = sizeOf(shape.slice(0, axis)) * after;
  /** The number of element `i` of row `row`, both i32. */
  const element = (row: string, i: string): string =>
    after === 1
      ? `(${row} * ${length} + ${i})`
      : `((${row} / ${after}) * ${length * after} + ${row} % ${after} + (${i}) * ${after})`;
  return { after, length, rows, element };
}

/** A number that orders elements: of unsigned integers, with NaN the largest. */
export function orderCode(shader: Shader, value: Value, index: string): string {
  const element = shader.load(value, index);
  switch (typeOf(value.dtype)) {
    case 'f32':
      return `orderOfF32(${element})`;
    case 'i32':
      return `(bitcast<u32>(${element}) ^ 0x80000000u)`;
    case 'u32':
      return element;
    case 'bool':
      return `select(0u, 1u, ${element})`;
  }
}

export const groupSize = 64;

/** The main function's beginning where each invocation does one of `count` things. */
export const eachOf = (count: number, name: string): string =>
  `let ${name} = group * ${groupSize} + local;\nif (${name} >= ${count}) { return; }\n`;

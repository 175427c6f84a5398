import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import { type Kernel, Shader } from '../wgsl/shader.ts';
import type { StepOptions } from './rows.ts';
import { eachOf, groupSize, orderCode, rowsAlong } from './rows.ts';

/** One invocation looks through one row; the first of equals wins. */
export function argMax(value: Value, { traits }: StepOptions): Kernel[] {
  const [x] = value.inputs as readonly [Value];
  const { rows, length, element } = rowsAlong(x, (value.attributes as Attributes['argMax']).axis);
  const shader = new Shader(traits);
  const body = `${eachOf(rows, 'row')}var best = 0;
var largest = ${orderCode(shader, x, element('row', '0'))};
for (var i = 1; i < ${length}; i++) {
let order = ${orderCode(shader, x, element('row', 'i'))};
if (order > largest) { largest = order; best = i; }
}
${shader.store(value, 'row', 'best')}`;
  return [shader.finish('argMax', groupSize, Math.ceil(rows / groupSize), body)];
}

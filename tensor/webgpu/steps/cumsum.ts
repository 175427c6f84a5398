import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import { type Kernel, Shader, typeOf } from '../wgsl/shader.ts';
import { eachOf, groupSize, rowsAlong } from './rows.ts';

/** One invocation adds up one row. */
export function cumsum(value: Value): Kernel[] {
  const [x] = value.inputs as readonly [Value];
  const { rows, length, element } = rowsAlong(x, (value.attributes as Attributes['cumsum']).axis);
  const shader = new Shader();
  const type = typeOf(x.dtype);
  const isFloat = type === 'f32';
  const one = shader.load(x, 'at');
  const body = `${eachOf(rows, 'row')}var total = ${isFloat ? 'vec2f()' : `${type}(0)`};
for (var i = 0; i < ${length}; i++) {
let at = ${element('row', 'i')};
total = ${isFloat ? `addExactly(total, ${one})` : `total + ${one}`};
${shader.store(value, 'at', isFloat ? 'sumOf(total)' : 'total')}
}`;
  return [shader.finish('cumsum', groupSize, Math.ceil(rows / groupSize), body)];
}

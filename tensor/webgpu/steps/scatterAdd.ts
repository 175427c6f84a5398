import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import { sizeOf, stridesOf } from '../../shape.ts';
import { checkIndex } from '../wgsl/scalarCode.ts';
import { type Kernel, Shader, typeOf } from '../wgsl/shader.ts';
import type { StepOptions } from './index.ts';
import { eachOf, groupSize } from './rows.ts';

/**
 * Each invocation makes one element: it looks through all indices that could point to it. So nothing is added by two at
 * a time, and sums are the same in every run.
 */
export function scatterAdd(value: Value, { reportNumber }: StepOptions): Kernel[] {
  const [base, index, updates] = value.inputs as readonly [Value, Value, Value];
  const { axis } = value.attributes as Attributes['scatterAdd'];
  const shader = new Shader();
  const count = sizeOf(value.shape);
  const type = typeOf(value.dtype);
  const isFloat = type === 'f32';
  const strides = stridesOf(value.shape);
  const indexStrides = stridesOf(index.shape);
  const lines: string[] = [];
  const offsets: string[] = [];
  const inside: string[] = [];
  value.shape.forEach((size, i) => {
    lines.push(`let c${i} = (number / ${strides[i]}) % ${size};`);
    if (i === axis) return;
    offsets.push(`c${i} * ${indexStrides[i]}`);
    if ((index.shape[i] as number) < size) inside.push(`c${i} < ${index.shape[i]}`);
  });
  const update = shader.load(updates, 'at');
  const first = shader.load(base, 'number');
  const body = `${eachOf(count, 'number')}${lines.join('\n')}
var total = ${isFloat ? `vec2f(${first}, 0f)` : first};
if (${inside.join(' && ') || 'true'}) {
let offset = ${offsets.join(' + ') || '0'};
for (var i = 0; i < ${index.shape[axis]}; i++) {
let at = offset + i * ${indexStrides[axis]};
let goal = ${shader.load(index, 'at')};
${checkIndex({ shader, reportNumber }, value, 'goal', value.shape[axis] as number)}
if (goal == c${axis}) { total = ${isFloat ? `addExactly(total, ${update})` : `total + ${update}`}; }
}
}
${shader.store(value, 'number', isFloat ? 'sumOf(total)' : 'total')}`;
  return [shader.finish('scatterAdd', groupSize, Math.ceil(count / groupSize), body)];
}

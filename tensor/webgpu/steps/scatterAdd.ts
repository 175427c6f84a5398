import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import { sizeOf, stridesOf } from '../../shape.ts';
import { checkIndex } from '../loops/scalarCode.ts';
import { type Kernel, type Scratch, Shader, typeOf } from '../wgsl/shader.ts';
import { sortKernels } from './argSort.ts';
import type { StepOptions } from './rows.ts';
import { eachOf, groupSize } from './rows.ts';

/** So few indices are looked through one by one rather than sorted. */
const fewIndices = 32;

/**
 * Each invocation makes one element: it adds up what points to it, in order. So nothing is added by two at a time, and
 * sums are the same in every run. Where there are many indices, they are sorted first, so that those that point to an
 * element are found by binary search.
 */
export function scatterAdd(value: Value, options: StepOptions): Kernel[] {
  const [, index] = value.inputs as readonly [Value, Value, Value];
  const { axis } = value.attributes as Attributes['scatterAdd'];
  const length = index.shape[axis] as number;
  if (length <= fewIndices) return [addKernel(value, options, undefined)];
  const sorted: Scratch = { kind: 'scratch', bytes: 4 * sizeOf(index.shape) };
  return [
    ...sortKernels('scatterAdd', index, axis, false, sorted, options),
    checkKernel(value, options),
    addKernel(value, options, sorted),
  ];
}

/** Looks for indices that are out of range. */
function checkKernel(value: Value, { traits, reportNumber }: StepOptions): Kernel {
  const [, index] = value.inputs as readonly [Value, Value, Value];
  const { axis } = value.attributes as Attributes['scatterAdd'];
  const shader = new Shader(traits);
  const count = sizeOf(index.shape);
  const body = `${eachOf(count, 'number')}let goal = ${shader.load(index, 'number')};
${checkIndex({ shader, reportNumber }, value, 'goal', value.shape[axis] as number)}`;
  return shader.finish('scatterAdd', groupSize, Math.ceil(count / groupSize), body);
}

/** `sorted` has, for each row of indices, the places of its elements in the order of their values. */
function addKernel(value: Value, { traits, reportNumber }: StepOptions, sorted: Scratch | undefined): Kernel {
  const [base, index, updates] = value.inputs as readonly [Value, Value, Value];
  const { axis } = value.attributes as Attributes['scatterAdd'];
  const shader = new Shader(traits);
  const count = sizeOf(value.shape);
  const type = typeOf(value.dtype);
  const isFloat = type === 'f32';
  const strides = stridesOf(value.shape);
  const indexStrides = stridesOf(index.shape);
  const [length, step] = [index.shape[axis] as number, indexStrides[axis] as number];
  const lines: string[] = [];
  const offsets: string[] = [];
  const inside: string[] = [];
  value.shape.forEach((size, i) => {
    lines.push(`let c${i} = (number / ${strides[i]}) % ${size};`);
    if (i === axis) return;
    offsets.push(`c${i} * ${indexStrides[i]}`);
    if ((index.shape[i] as number) < size) inside.push(`c${i} < ${index.shape[i]}`);
  });
  const goalAt = (at: string): string => shader.load(index, at);
  const first = shader.load(base, 'number');
  const update = shader.load(updates, 'at');
  const add = `total = ${isFloat ? `addExactly(total, ${update})` : `total + ${update}`};`;
  const each = (): string => `for (var i = 0; i < ${length}; i++) {
let at = offset + i * ${step};
let goal = ${goalAt('at')};
${checkIndex({ shader, reportNumber }, value, 'goal', value.shape[axis] as number)}
if (goal == c${axis}) { ${add} }
}`;
  const search = (place: Scratch): string => {
    const placeOf = (i: string): string =>
      `offset + ${shader.buffer(place, 'read', 'i32').read(`offset + ${i} * ${step}`)} * ${step}`;
    return `var low = 0;
var high = ${length};
while (low < high) {
let probe = (low + high) / 2;
let at = ${placeOf('probe')};
if (${goalAt('at')} < c${axis}) { low = probe + 1; } else { high = probe; }
}
for (; low < ${length}; low++) {
let at = ${placeOf('low')};
if (${goalAt('at')} != c${axis}) { break; }
${add}
}`;
  };
  const body = `${eachOf(count, 'number')}${lines.join('\n')}
var total = ${isFloat ? `vec2f(${first}, 0f)` : first};
if (${inside.join(' && ') || 'true'}) {
let offset = ${offsets.join(' + ') || '0'};
${sorted === undefined ? each() : search(sorted)}
}
${shader.store(value, 'number', isFloat ? 'sumOf(total)' : 'total')}`;
  return shader.finish('scatterAdd', groupSize, Math.ceil(count / groupSize), body);
}

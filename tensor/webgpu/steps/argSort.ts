import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import { type Kernel, type Place, type Scratch, Shader } from '../wgsl/shader.ts';
import type { StepOptions } from './rows.ts';
import { eachOf, groupSize, orderCode, rowsAlong } from './rows.ts';

/** Indices that sort along an axis. */
export function argSort(value: Value, options: StepOptions): Kernel[] {
  const [x] = value.inputs as readonly [Value];
  const { axis, descending } = value.attributes as Attributes['argSort'];
  return sortKernels('argSort', x, axis, descending, value, options);
}

/**
 * Writes the indices that sort x along an axis to a place for as many i32: a merge sort from the bottom up, a kernel for
 * each doubling of sorted runs. Every element finds its place in the merged run on its own: its place in its run plus
 * the number of elements of the other run that come before it, by binary search. Equal elements keep their order.
 */
export function sortKernels(
  label: string,
  x: Value,
  axis: number,
  descending: boolean,
  result: Place,
  { traits }: StepOptions,
): Kernel[] {
  const { rows, length, element } = rowsAlong(x, axis);
  const count = rows * length;
  const levels = Math.max(1, Math.ceil(Math.log2(length)));
  const scratch: Scratch = { kind: 'scratch', bytes: 4 * count };
  return Array.from({ length: levels }, (_, level) => {
    const shader = new Shader(traits);
    const width = shader.bits(2 ** level);
    // The last kernel writes the result.
    const [from, to] = (levels - level) % 2 === 1 ? [scratch, result] : [result, scratch];
    const source = level === 0 ? undefined : shader.buffer(from, 'read', 'i32');
    const target = shader.buffer(to, 'write', 'i32');
    /** The index that stands at a place so far. */
    const indexAt = (i: string): string => source?.read(element('row', i)) ?? i;
    const orderAt = (index: string): string => `${descending ? '~' : ''}${orderCode(shader, x, element('row', index))}`;
    const body = `${eachOf(count, 'number')}let width = i32(${width});
let row = number / ${length};
let place = number % ${length};
let start = place / (2 * width) * (2 * width);
let middle = min(start + width, ${length});
let end = min(middle + width, ${length});
let isLeft = place < middle;
let index = ${indexAt('place')};
let order = ${orderAt('index')};
// How many of the other run come before: of those on the right the smaller ones, of those on the left the equal ones too.
var low = select(start, middle, isLeft);
var high = select(middle, end, isLeft);
let first = low;
while (low < high) {
let probe = (low + high) / 2;
let candidate = ${indexAt('probe')};
let other = ${orderAt('candidate')};
if (other < order || (!isLeft && other == order)) { low = probe + 1; } else { high = probe; }
}
let goal = select(start + place - middle, place, isLeft) + low - first;
${target.write(element('row', 'goal'), 'index')}`;
    return shader.finish(label, groupSize, Math.ceil(count / groupSize), body);
  });
}

import type { Value } from '../../compiler/program.ts';
import type { Attributes } from '../../primitives.ts';
import type { BufferCode } from '../wgsl/bufferCode.ts';
import { type Kernel, type Scratch, Shader, typeOf } from '../wgsl/shader.ts';
import type { StepOptions } from './rows.ts';
import { eachOf, groupSize, rowsAlong } from './rows.ts';

/** Rows up to twice this length are added up by one invocation; longer ones in chunks of this length. */
const chunk = 1024;

/**
 * Running sums along an axis. One invocation adds up a row; of long rows, each adds up a chunk, then one adds up the
 * chunks of its row, and then each goes through its chunk again from there.
 */
export function cumsum(value: Value, { traits }: StepOptions): Kernel[] {
  const [x] = value.inputs as readonly [Value];
  const { rows, length, element } = rowsAlong(x, (value.attributes as Attributes['cumsum']).axis);
  const type = typeOf(x.dtype);
  const isFloat = type === 'f32';
  const zero = isFloat ? 'vec2f()' : `${type}(0)`;
  const chunks = length > 2 * chunk ? Math.ceil(length / chunk) : 1;
  const totals: Scratch = { kind: 'scratch', bytes: (isFloat ? 8 : 4) * rows * chunks };
  const kept = (shader: Shader, access: 'read' | 'write'): BufferCode =>
    shader.buffer(totals, access, isFloat ? 'vec2f' : type);

  /** Goes through a chunk from what came before it. */
  const walk = (shader: Shader, before: string, each: string, after: string): Kernel => {
    const one = shader.load(x, 'at');
    const body = `${eachOf(rows * chunks, 'number')}let row = number / ${chunks};
let start = number % ${chunks} * ${chunk};
let end = ${chunks === 1 ? length : `min(start + ${chunk}, ${length})`};
var total = ${before};
for (var i = start; i < end; i++) {
let at = ${element('row', 'i')};
total = ${isFloat ? `addExactly(total, ${one})` : `total + ${one}`};
${each}
}
${after}`;
    return shader.finish('cumsum', groupSize, Math.ceil((rows * chunks) / groupSize), body);
  };
  const adding = new Shader(traits);
  const storing = new Shader(traits);
  const store = storing.store(value, 'at', isFloat ? 'sumOf(total)' : 'total');
  if (chunks === 1) return [walk(storing, zero, store, '')];
  return [
    walk(adding, zero, '', kept(adding, 'write').write('number', 'total')),
    joinChunks(new Shader(traits)),
    walk(storing, kept(storing, 'read').read('number'), store, ''),
  ];

  /** Replaces the sum of each chunk by that of all before it. */
  function joinChunks(shader: Shader): Kernel {
    const sums = kept(shader, 'write');
    const body = `${eachOf(rows, 'row')}var total = ${zero};
for (var i = row * ${chunks}; i < (row + 1) * ${chunks}; i++) {
let own = ${sums.read('i')};
${sums.write('i', 'total')}
total = ${isFloat ? 'joinSums(total, own)' : 'total + own'};
}`;
    return shader.finish('cumsum', groupSize, Math.ceil(rows / groupSize), body);
  }
}

import { toValues, type ValueArray } from './dtype.ts';
import { sourceOf, Tensor, typeOf } from './tensor.ts';

/** Elements shown at both ends of a shortened axis. */
const edge = 3;
/** Axes of larger tensors are shortened. */
const largestShown = 1000;

/** A tensor as text: its type, device, and elements if they are at hand without computing. Long axes are shortened. */
export function inspect(tensor: Tensor): string {
  const source = sourceOf(tensor);
  switch (source.kind) {
    case 'pending':
      return `Tensor ${typeOf(tensor)} = ${source.node.primitive}(${source.node.inputs.map(typeOf).join(', ')}), not computed yet`;
    case 'gone':
      return `Tensor ${typeOf(tensor)}: ${source.why}`;
    case 'host':
      return `Tensor ${typeOf(tensor)} ${format(tensor, toValues(tensor.dtype, source.storage))}`;
    case 'placed': {
      const storage = source.device.peek(source.buffer);
      const where = `Tensor ${typeOf(tensor)} on ${source.device.name}`;
      return storage === undefined ? where : `${where} ${format(tensor, toValues(tensor.dtype, storage))}`;
    }
  }
}

function format({ shape, dtype }: Tensor, values: ValueArray): string {
  const shorten = values.length > largestShown;
  const number = (value: number): string => {
    if (dtype === 'bool') return String(value === 1);
    return Number.isInteger(value)
      ? Object.is(value, -0)
        ? '-0'
        : String(value)
      : String(Number(value.toPrecision(dtype === 'f64' ? 8 : 6)));
  };
  const block = (axis: number, from: number, count: number): string => {
    const size = shape[axis];
    if (size === undefined) return number(values[from] as number);
    const step = size === 0 ? 0 : count / size;
    const cut = shorten && size > 2 * edge;
    const shown = Array.from({ length: size }, (_, i) => i).filter((i) => !cut || i < edge || i >= size - edge);
    const parts = shown.map((i) => block(axis + 1, from + i * step, step));
    if (cut) parts.splice(edge, 0, '…');
    const separator =
      axis === shape.length - 1 ? ', ' : `,${'\n'.repeat(shape.length - 1 - axis)}${' '.repeat(axis + 1)}`;
    return `[${parts.join(separator)}]`;
  };
  const text = block(0, 0, values.length);
  return text.includes('\n') ? `\n${text}` : text;
}

// Node's console.log calls this method; other platforms ignore it.
Object.defineProperty(Tensor.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: Tensor) {
    return inspect(this);
  },
});

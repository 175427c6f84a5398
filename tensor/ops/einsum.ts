import { ShapeError, TensorError } from '../errors.ts';
import { broadcastShapes, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { typeOf } from '../tensor.ts';
import { diagonal } from './indexing.ts';
import { matmul } from './matmul.ts';
import { permute, reshape } from './movement.ts';
import { broadcastTo } from './operands.ts';
import { sum } from './reductions.ts';

/** A tensor whose axes carry labels. */
interface Labelled {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

/**
 * Einstein summation (PyTorch's `einsum`): `einsum('bqd,bkd->bqk', q, k)`. Labels are letters. A label that the result
 * lacks is summed over, a label that occurs twice in one operand takes its diagonal, and `...` stands for further axes,
 * which broadcast. Without `->`, the result has the labels that occur once, in alphabetical order. Operands are
 * contracted from left to right.
 * @throws TensorError for an equation that is not valid, ShapeError for sizes that differ
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  const [left, right, ...extra] = equation.replaceAll(' ', '').split('->') as [string, string?, ...string[]];
  const terms = left.split(',');
  if (extra.length > 0 || terms.length !== operands.length) {
    throw new TensorError(`einsum: '${equation}' names ${terms.length} operands, but ${operands.length} were given`);
  }
  const labelled = terms.map((term, i) => label(equation, term, operands[i] as Tensor));
  const labels = labelled.flatMap((operand) => operand.labels);
  const sizes = labelSizes(equation, labelled);
  const ellipsis = [...new Set(labels.filter(isEllipsis))].sort().reverse();
  const output =
    right === undefined
      ? [...ellipsis, ...labels.filter((l) => !isEllipsis(l) && labels.indexOf(l) === labels.lastIndexOf(l)).sort()]
      : parse(equation, right).flatMap((l) => (l === '...' ? ellipsis : [l]));
  const unknown = output.find((l) => !labels.includes(l));
  if (unknown !== undefined || new Set(output).size !== output.length) {
    throw new TensorError(`einsum: the result of '${equation}' may name each label of the operands once, no others`);
  }
  const joined = labelled.map(takeDiagonals).reduce((a, b, i) => {
    const later = labelled.slice(i + 1).flatMap((operand) => operand.labels);
    return contract(a, b, [...output, ...later]);
  });
  const { x, labels: order } = sumOut(joined, output);
  return broadcastTo(
    permute(
      x,
      output.map((l) => order.indexOf(l)),
    ),
    output.map((l) => sizes.get(l) as number),
  );
}

/** The axes under `...` have the labels `.0`, `.1`, …, counted from the last, so that they align at the end. */
const isEllipsis = (label: string): boolean => label.startsWith('.');

function parse(equation: string, term: string): string[] {
  const labels = term.match(/\.\.\.|[A-Za-z]/g) ?? [];
  if (labels.join('') !== term || labels.filter((l) => l === '...').length > 1) {
    throw new TensorError(`einsum: cannot read '${term}' in '${equation}': labels are letters, and at most one '...'`);
  }
  return labels;
}

function label(equation: string, term: string, x: Tensor): Labelled {
  const parsed = parse(equation, term);
  const free = x.rank - parsed.filter((l) => l !== '...').length;
  if (free < 0 || (free > 0 && !parsed.includes('...'))) {
    throw new ShapeError(`einsum: '${term}' in '${equation}' does not fit the ${x.rank} axes of ${typeOf(x)}`);
  }
  const dots = Array.from({ length: free }, (_, i) => `.${free - 1 - i}`);
  return { x, labels: parsed.flatMap((l) => (l === '...' ? dots : [l])) };
}

function labelSizes(equation: string, operands: readonly Labelled[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { x, labels } of operands) {
    labels.forEach((l, axis) => {
      const size = x.shape[axis] as number;
      const known = sizes.get(l) ?? size;
      if (known !== size && !isEllipsis(l)) {
        throw new ShapeError(`einsum: label '${l}' in '${equation}' stands for ${known} and for ${size}`);
      }
      sizes.set(l, broadcastShapes('einsum', [known], [size])[0] as number);
    });
  }
  return sizes;
}

function takeDiagonals({ x, labels }: Labelled): Labelled {
  const first = labels.findIndex((l, i) => labels.indexOf(l, i + 1) > i);
  if (first < 0) return { x, labels };
  const repeated = labels[first] as string;
  const second = labels.indexOf(repeated, first + 1);
  const rest = labels.filter((_, i) => i !== first && i !== second);
  return takeDiagonals({ x: diagonal(x, first, second), labels: [...rest, repeated] });
}

/** Sums over every label that is not wanted. */
function sumOut({ x, labels }: Labelled, wanted: readonly string[]): Labelled {
  const axes = labels.flatMap((l, axis) => (wanted.includes(l) ? [] : [axis]));
  return { x: axes.length === 0 ? x : sum(x, axes), labels: labels.filter((l) => wanted.includes(l)) };
}

/** Contracts two operands by one matrix product: shared labels are batch axes if wanted, else the inner axis. */
function contract(left: Labelled, right: Labelled, wanted: readonly string[]): Labelled {
  const a = sumOut(left, [...wanted, ...right.labels]);
  const b = sumOut(right, [...wanted, ...left.labels]);
  const shared = a.labels.filter((l) => b.labels.includes(l));
  const batch = shared.filter((l) => wanted.includes(l));
  const inner = shared.filter((l) => !wanted.includes(l));
  const rows = a.labels.filter((l) => !shared.includes(l));
  const columns = b.labels.filter((l) => !shared.includes(l));
  const sizes = new Map<string, number>();
  for (const { x, labels } of [a, b]) {
    labels.forEach((l, axis) => {
      sizes.set(l, broadcastShapes('einsum', [sizes.get(l) ?? 1], [x.shape[axis] as number])[0] as number);
    });
  }
  const sizesOf = (labels: readonly string[]): Shape => labels.map((l) => sizes.get(l) as number);
  const grouped = ({ x, labels }: Labelled, groups: readonly (readonly string[])[]): Tensor => {
    const order = groups.flat();
    const moved = permute(
      x,
      order.map((l) => labels.indexOf(l)),
    );
    return reshape(
      broadcastTo(moved, sizesOf(order)),
      groups.map((group) => sizesOf(group).reduce((product, size) => product * size, 1)),
    );
  };
  const product = matmul(grouped(a, [batch, rows, inner]), grouped(b, [batch, inner, columns]));
  const labels = [...batch, ...rows, ...columns];
  return { x: reshape(product, sizesOf(labels)), labels };
}

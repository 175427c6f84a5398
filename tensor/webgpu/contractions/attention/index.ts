import type { IsComposed } from '../../../compiler/compositions.ts';
import type { Value } from '../../../compiler/program.ts';
import type { AttentionAttributes } from '../../../primitives.ts';
import { sizeOf, stridesOf } from '../../../shape.ts';
import { sourceOf, type Tensor } from '../../../tensor.ts';
import { type Kernel, mostBuffers, type Scratch, type ShaderTraits } from '../../wgsl/shader.ts';
import { type View, viewsOf } from '../view.ts';
import { attentionBlocks, mostColumns } from './blocks.ts';
import { attentionTiles } from './tiles.ts';
import type { Matrix, Piece, Products, Walk } from './walk.ts';

export interface AttentionOptions {
  /** Whether the adapter is a CPU. */
  readonly software: boolean;
  readonly traits: ShaderTraits;
}

/**
 * What there is no kernel for here. On a CPU the gradients are composed: without the scores they take nine products of
 * their size instead of five, which memory that need not be moved does not make up for there; nor are wide heads worth
 * the few queries that an invocation has room for. Composed is also what takes more buffers than a kernel sees, some of
 * them in parts.
 */
export const attentionIsComposed =
  ({ software, traits }: AttentionOptions): IsComposed =>
  (primitive, inputs) => {
    const [q, k, v] = inputs as readonly [Tensor, Tensor, Tensor];
    const [dim, width] = [q, v].map(({ shape }) => shape.at(-1) as number) as [number, number];
    if (software && (primitive === 'attentionGradient' || dim + width > mostColumns)) return true;
    const queries = q.size / dim;
    const made = primitive === 'attention' ? queries * width : q.size + k.size + v.size;
    const statistics = primitive === 'attention' ? 0 : 3 * queries;
    const sizes = [...inputs.map(storedSize), made, statistics];
    return sizes.reduce((parts, size) => parts + Math.ceil((4 * size) / traits.bindingBytes), 0) > mostBuffers;
  };

/** Elements of a tensor, without those that are repeated. */
function storedSize(tensor: Tensor): number {
  const source = sourceOf(tensor);
  if (source.kind !== 'pending' || source.node.primitive !== 'broadcastTo') return tensor.size;
  return storedSize(source.node.inputs[0] as Tensor);
}

/** The kernels of attention, or of its gradients. */
export function attentionKernels(
  value: Value,
  buffers: ReadonlySet<Value>,
  { software, traits }: AttentionOptions,
): Kernel[] {
  const walks = walksOf(value, buffers);
  return software
    ? walks.map((walk) => attentionBlocks(walk, traits))
    : walks.flatMap((walk) => attentionTiles(walk, traits));
}

function matrixOf({ from, offset, strides }: View): Matrix {
  const [row, along] = strides.slice(-2) as [number, number];
  return { from, offset, row, along, batch: strides.slice(0, -2) };
}

const transposed = ({ own, other, depth }: Products): Products => ({ own: other, other: own, depth });

function walksOf(value: Value, buffers: ReadonlySet<Value>): Walk[] {
  const views = viewsOf(value, buffers).map(matrixOf);
  const isGradient = value.primitive === 'attentionGradient';
  const [q, k, v] = views as [Matrix, Matrix, Matrix];
  const [queries, dim] = (value.inputs[0] as Value).shape.slice(-2) as [number, number];
  const [keys, width] = (value.inputs[2] as Value).shape.slice(-2) as [number, number];
  const batch = (value.inputs[0] as Value).shape.slice(0, -2);
  const { causal } = value.attributes as AttentionAttributes;
  const common = { label: value.primitive, batch, causal, bias: views[isGradient ? 4 : 3] };
  const byQueries = { ...common, own: 'queries', rows: queries, others: keys } as const;
  const scores: Products = { own: q, other: k, depth: dim };
  const to = (offset: number, columns: number, length: number): Matrix => {
    const steps = stridesOf(batch).map((step) => step * length);
    return { from: value, offset, row: columns, along: 1, batch: steps };
  };
  if (!isGradient) {
    const piece: Piece = { factor: 'weight', other: v, columns: width, to: to(0, width, queries * width) };
    return [{ ...byQueries, scores, byWeights: undefined, statistics: undefined, pieces: [piece] }];
  }
  const g = views[3] as Matrix;
  const length = queries * dim + keys * dim + keys * width;
  const byWeights: Products = { own: g, other: v, depth: width };
  const place: Scratch = { kind: 'scratch', bytes: 3 * 4 * sizeOf(batch) * queries };
  const read = { place, access: 'read' } as const;
  const [atK, atV] = [queries * dim, queries * dim + keys * dim];
  return [
    { ...byQueries, scores, byWeights, statistics: { place, access: 'write' }, pieces: [] },
    {
      ...byQueries,
      scores,
      byWeights,
      statistics: read,
      pieces: [{ factor: 'byScore', other: k, columns: dim, to: to(0, dim, length) }],
    },
    {
      ...common,
      own: 'keys',
      rows: keys,
      others: queries,
      scores: transposed(scores),
      byWeights: transposed(byWeights),
      statistics: read,
      pieces: [
        { factor: 'byScore', other: q, columns: dim, to: to(atK, dim, length) },
        { factor: 'weight', other: g, columns: width, to: to(atV, width, length) },
      ],
    },
  ];
}

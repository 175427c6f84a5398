import type { Value } from '../../compiler/program.ts';
import { stridesOf } from '../../shape.ts';
import { type Kernel, Shader } from '../wgsl/shader.ts';
import { blockKernel, smallKernel } from './blocks.ts';
import { asProduct, convBlocks, convTiles, isSmallConvolution, readConvolution } from './conv.ts';
import { tileKernel } from './tiles.ts';
import {
  batchOffsets,
  countOf,
  fewMultiplications,
  type Product,
  type View,
  viewOf,
  withoutBroadcasts,
} from './view.ts';

export interface ContractionOptions {
  /** Whether the adapter is a CPU. */
  readonly software: boolean;
}

/** What a matrix product or convolution reads. */
export const contractionReads = (value: Value, buffers: ReadonlySet<Value>): Value[] =>
  value.inputs.map((input) => viewOf(input, buffers).from);

/** The kernels of a matrix product or convolution. */
export function contractionKernels(
  value: Value,
  buffers: ReadonlySet<Value>,
  { software }: ContractionOptions,
): Kernel[] {
  const [x, y] = value.inputs.map((input) => viewOf(input, buffers)) as [View, View];
  if (value.primitive === 'matmul') return [productKernel(matrixProduct(value, x, y), software)];
  const convolution = readConvolution(value, x, y);
  const product = asProduct(convolution);
  if (product !== undefined) return [productKernel(product, software)];
  return [software || isSmallConvolution(convolution) ? convBlocks(convolution) : convTiles(convolution)];
}

function matrixProduct(out: Value, a: View, b: View): Product {
  const rank = out.shape.length - 2;
  const strides = stridesOf(out.shape);
  const [rows, columns] = out.shape.slice(-2) as [number, number];
  const stride = (view: { readonly strides: readonly number[] }, axis: number): number => view.strides[axis] as number;
  return {
    label: 'matmul',
    out,
    rows,
    columns,
    depth: a.shape[rank + 1] as number,
    a: { from: a.from, offset: a.offset, row: stride(a, rank), along: stride(a, rank + 1) },
    b: { from: b.from, offset: b.offset, along: stride(b, rank), column: stride(b, rank + 1) },
    c: { row: columns },
    batch: out.shape
      .slice(0, rank)
      .map((size, i) => ({ size, a: stride(a, i), b: stride(b, i), c: strides[i] as number })),
  };
}

const isSmall = ({ rows, columns, depth, batch }: Product): boolean =>
  rows * columns * depth * countOf(batch) < fewMultiplications;

function productKernel(given: Product, software: boolean): Kernel {
  const product = withoutBroadcasts(given);
  if (isSmall(product)) return smallKernel(product);
  if (software) return blockKernel(product);
  const { label, out, rows, columns, depth, a, b, c, batch } = product;
  const shader = new Shader();
  const [aName, bName] = [shader.buffer(a.from, 'read'), shader.buffer(b.from, 'read')];
  return tileKernel(shader, {
    label,
    out,
    rows,
    columns,
    depth,
    batches: countOf(batch),
    start: batchOffsets(product),
    aRunsAlong: a.along === 1,
    bRunsAcross: b.column === 1 || b.along !== 1,
    a: (row, k) => `element = ${aName}[aStart + ${row} * ${a.row} + ${k} * ${a.along}];`,
    b: (k, column) => `element = ${bName}[bStart + ${k} * ${b.along} + ${column} * ${b.column}];`,
    store: (row, column, element) =>
      `${shader.buffer(out, 'write')}[cStart + ${row} * ${c.row} + ${column}] = ${element};`,
  });
}

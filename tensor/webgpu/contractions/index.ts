import { iterations } from '../../compiler/iterations.ts';
import type { Value } from '../../compiler/program.ts';
import { stridesOf } from '../../shape.ts';
import { type Kernel, typeOf } from '../wgsl/shader.ts';
import { attentionKernels } from './attention/index.ts';
import { asProduct, convBlocks, convTiles, isSmallConvolution, readConvolution } from './conv/tiles.ts';
import { blockKernel, smallKernel } from './matmul/blocks.ts';
import { tileKernel } from './matmul/tiles.ts';
import { type ContractionOptions, ContractionShader } from './result.ts';
import {
  batchOffsets,
  fewMultiplications,
  inVectors,
  type Product,
  type View,
  viewsOf,
  withoutBroadcasts,
} from './view.ts';

/** What a matrix product, a convolution or attention reads. */
export const contractionReads = (value: Value, buffers: ReadonlySet<Value>): Value[] =>
  viewsOf(value, buffers).map(({ from }) => from);

/** The kernels of a matrix product, a convolution or attention. */
export function contractionKernels(value: Value, buffers: ReadonlySet<Value>, options: ContractionOptions): Kernel[] {
  if (value.primitive === 'attention' || value.primitive === 'attentionGradient')
    return attentionKernels(value, buffers, options);
  const [x, y] = viewsOf(value, buffers) as [View, View];
  if (value.primitive === 'matmul') return [productKernel(matrixProduct(value, x, y), options)];
  const convolution = readConvolution(value, x, y);
  const product = asProduct(convolution);
  if (product !== undefined) return [productKernel(product, options)];
  const kernel = options.software || isSmallConvolution(convolution) ? convBlocks : convTiles;
  return [kernel(convolution, options)];
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
  rows * columns * depth * iterations(batch) < fewMultiplications;

function productKernel(given: Product, options: ContractionOptions): Kernel {
  const product = withoutBroadcasts(given);
  if (isSmall(product)) return smallKernel(product, options);
  if (options.software) return blockKernel(product, options);
  const { label, out, rows, columns, depth, a, b, c, batch } = product;
  const shader = new ContractionShader(out, options, [columns, c.row, ...batch.map((one) => one.c)]);
  const four = `vec4<${typeOf(out.dtype)}>`;
  const vector = (from: Value, at: string): string => shader.buffer(from, 'read', four).read(`(${at}) >> 2u`);
  const aAt = (row: string, k: string): string => `aStart + ${row} * ${a.row} + ${k} * ${a.along}`;
  const bAt = (k: string, column: string): string => `bStart + ${k} * ${b.along} + ${column} * ${b.column}`;
  const aSteps = [a.offset, a.along, ...batch.map((one) => one.a)];
  const bSteps = [b.offset, b.along, ...batch.map((one) => one.b)];
  return tileKernel(shader, {
    label,
    out,
    rows,
    columns,
    depth,
    batches: iterations(batch),
    start: batchOffsets(product),
    aRunsAlong: a.along === 1,
    bRunsAcross: b.column === 1 || b.along !== 1,
    a: (row, k) => `element = ${shader.load(a.from, aAt(row, k))};`,
    b: (k, column) => `element = ${shader.load(b.from, bAt(k, column))};`,
    ...(a.row === 1 && inVectors(a.from, rows, aSteps) && { aVector: (row, k) => vector(a.from, aAt(row, k)) }),
    ...(b.column === 1 &&
      inVectors(b.from, columns, bSteps) && { bVector: (k, column) => vector(b.from, bAt(k, column)) }),
    together: shader.together,
    store: (row, column, ...elements) => shader.storeResult(`cStart + ${row} * ${c.row} + ${column}`, ...elements),
  });
}

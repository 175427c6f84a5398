import type { Value } from '../../../compiler/program.ts';
import { isHalf } from '../../../dtype.ts';
import { range } from '../../../range.ts';
import { sizeOf } from '../../../shape.ts';
import type { Scratch, Shader } from '../../wgsl/shader.ts';

/** A matrix for each of a batch, as it lies in memory; steps and offset are in elements. */
export interface Matrix {
  readonly from: Value;
  readonly offset: number;
  readonly row: number;
  readonly along: number;
  /** Steps of the batch dimensions, the outermost first. */
  readonly batch: readonly number[];
}

/** Rows of one matrix times rows of another, both of length `depth`. */
export interface Products {
  readonly own: Matrix;
  readonly other: Matrix;
  readonly depth: number;
}

/**
 * Some columns of a result: for each own row, the sum over all other rows of a factor times what `other` has in that row.
 * The factor is the weight that the query gives to the key, or the gradient by their score.
 */
export interface Piece {
  readonly factor: 'weight' | 'byScore';
  readonly other: Matrix;
  readonly columns: number;
  /** Where it is stored. */
  readonly to: Matrix;
}

/**
 * What a kernel of attention does: for each own row (a query, or a key) it goes through all other rows (keys, or queries)
 * in blocks, computes the scores, and adds up what it makes of them. Scores are never stored.
 */
export interface Walk {
  readonly label: string;
  readonly own: 'queries' | 'keys';
  readonly rows: number;
  readonly others: number;
  readonly batch: readonly number[];
  readonly causal: boolean;
  /** Rows are queries, whichever rows are the walk's own. */
  readonly bias: Matrix | undefined;
  readonly scores: Products;
  /** The gradients by the weights, where they are needed. */
  readonly byWeights: Products | undefined;
  /** What is known of each query, see `statisticAt`; what is not read is found on the way. */
  readonly statistics: { readonly place: Scratch; readonly access: 'read' | 'write' } | undefined;
  readonly pieces: readonly Piece[];
}

/** Of what no query may see, which is less than all seen scores. WGSL has no −∞. */
export const unseen = '-3.4028234e38f';

/** Code for where the matrix of a batch begins, from its number `batch`, in steps of `unit` elements. */
export function startOf({ batch: sizes }: Walk, { offset, batch: steps }: Matrix, unit = 1): string {
  const parts = [`${offset / unit}`];
  let stride = 1;
  for (let i = sizes.length - 1; i >= 0; i--) {
    const [size, step] = [sizes[i] as number, steps[i] as number];
    if (size > 1 && step !== 0) parts.push(`(batch / ${stride}) % ${size} * ${step / unit}`);
    stride *= size;
  }
  return parts.join(' + ');
}

/** Whether four elements of a row, the first of which has a number divisible by 4, are a vector in memory. */
const liesInVectors = ({ from, offset, row, along, batch }: Matrix): boolean =>
  !isHalf(from.dtype) && along === 1 && [offset, row, ...batch].every((step) => step % 4 === 0);

/** A matrix as code that reads its rows in vectors of four; what the last one has too much is 0. */
export interface Rows {
  /** Vectors in a row. */
  readonly steps: number;
  /** Code that runs before all else. */
  readonly start: string;
  load(row: string, step: string): string;
}

export function rowsOf(
  shader: Shader,
  walk: Walk,
  name: string,
  matrix: Matrix,
  columns: number,
  mayBeVectors = true,
): Rows {
  const { from, row: rowStep, along } = matrix;
  const exact = columns % 4 === 0;
  const vectors = mayBeVectors && exact && liesInVectors(matrix);
  // Indices are those of vectors from the beginning: shifting them is dear on CPUs.
  const unit = vectors ? 4 : 1;
  const at = (row: string, step: string): string =>
    `${name}Start + ${row} * ${rowStep / unit} + ${step} * ${(4 * along) / unit}`;
  const whole = 'vec4<f32>';
  const loadOne = (row: string, step: string, i: number): string => {
    const element = shader.load(from, `${at(row, step)} + ${i * along}`);
    return exact || i === 0 ? element : `select(0f, ${element}, ${step} * 4 + ${i} < ${columns})`;
  };
  return {
    steps: Math.ceil(columns / 4),
    start: `let ${name}Start = ${startOf(walk, matrix, unit)};`,
    load: (row, step) =>
      vectors
        ? shader.buffer(from, 'read', whole).read(at(row, step))
        : `${whole}(${range(4)
            .map((i) => loadOne(row, step, i))
            .join(', ')})`,
  };
}

/** Code that stores such a vector, element by element: pieces of one result need not all begin where vectors do. */
export function storeStep(shader: Shader, { to, columns }: Piece, start: string, row: string, step: string): string {
  const stores = range(4).map((i) => {
    const store = shader.store(to.from, `${start} + ${row} * ${to.row} + ${step} * 4 + ${i}`, `sum.${'xyzw'[i]}`);
    return columns % 4 === 0 || i === 0 ? store : `if (${step} * 4 + ${i} < ${columns}) { ${store} }`;
  });
  return stores.join('\n');
}

const biasFunction = `fn addBias(score: f32, bias: f32) -> f32 {
return select(max(score + bias, -3.402823e38f), ${unseen}, bitcast<u32>(bias) == 0xff800000u);
}`;

/** Code that runs first, and what makes a query's score by a key, both i32 names, of their product. */
export function scoring(shader: Shader, walk: Walk): { readonly start: string; of: ScoreCode } {
  const { own, causal, bias } = walk;
  // Only −∞ hides a key: what is very small otherwise still counts, if all else is as small.
  if (bias !== undefined) shader.declare(biasFunction);
  return {
    start: bias === undefined ? '' : `let biasStart = ${startOf(walk, bias)};`,
    of: (product, row, other, beyond) => {
      const [query, key] = own === 'queries' ? [row, other] : [other, row];
      const place = bias && `biasStart + ${query} * ${bias.row} + ${key} * ${bias.along}`;
      const score = bias && place ? `addBias(${product}, ${shader.load(bias.from, place)})` : product;
      const hidden = [...(beyond === undefined ? [] : [beyond]), ...(causal ? [`${key} > ${query}`] : [])];
      return hidden.length === 0 ? score : `select(${score}, ${unseen}, ${hidden.join(' || ')})`;
    },
  };
}

/** `beyond` is a condition on which there is no such row. */
export type ScoreCode = (product: string, row: string, other: string, beyond?: string) => string;

/** Code for a weight, given what is to be seen of its score and the query's largest one. */
export const weightOf = ({ causal, bias }: Walk, ragged: boolean, score: string, most: string): string => {
  const weight = `exponential(${score} - ${most})`;
  return causal || bias !== undefined || ragged ? `select(0f, ${weight}, ${score} > ${unseen})` : weight;
};

/** Code for the inverse of what a query's weights add up to. One that sees no key has none. */
export const inverseOf = (total: string): string => `select(1f / ${total}, NOT_A_NUMBER, ${total} == 0f)`;

/** What is known of a query: its largest score, the inverse of what its weights add up to, its mean gradient by weights. */
export const statisticNames = ['most', 'inverse', 'mean'] as const;

/** Code for the place of one of these. */
export function statisticAt({ own, rows, others, batch }: Walk, which: number, query: string): string {
  const queries = own === 'queries' ? rows : others;
  return `${which * queries * sizeOf(batch)} + batch * ${queries} + ${query}`;
}

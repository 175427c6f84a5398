import type { Tensor } from './tensor.ts';

/** Elementwise primitives of one input; shape and dtype stay. */
export type UnaryPrimitive =
  | 'neg'
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'sqrt'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'softplus'
  | 'erf'
  | 'floor';

/** Elementwise primitives of two inputs of one shape and dtype; broadcasting is a node of its own. */
export type BinaryPrimitive = 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'remainder';

/** Elementwise primitives whose output is bool. */
export type TestPrimitive = 'equal' | 'less' | 'isNaN' | 'isFinite';

type None = Readonly<Record<never, never>>;

/** The attributes of primitives that have none: one object, since graphs have thousands of such nodes. */
export const noAttributes: None = Object.freeze({});

/**
 * Every primitive and what it needs to know beside its inputs. This list is all that an executor evaluates and all that
 * `autograd` differentiates; every other operator is composed of these.
 *
 * Reductions keep the reduced axes with size 1; `broadcastTo` keeps the rank. So a reduction and a broadcast are each
 * other's gradient, and operators that drop or add axes reshape around them.
 */
export interface Attributes extends Record<UnaryPrimitive | BinaryPrimitive | TestPrimitive, None> {
  // Sources
  /** The output filled with one number. */
  constant: { readonly value: number };
  /** 0, 1, 2, … along one axis. */
  iota: { readonly axis: number };

  // Elementwise
  /** To the dtype of the output, as `roundTo` says. */
  cast: None;
  /** `where(condition, a, b)`. */
  where: None;
  /** One word of Threefry-2x32-20 of (key0, key1, counter0, counter1): Salmon et al. 2011. */
  threefry: { readonly word: 0 | 1 };

  // Movement
  reshape: None;
  /** Output axis i is input axis `axes[i]`. */
  permute: { readonly axes: readonly number[] };
  /** Sizes of 1 are repeated up to the output's. */
  broadcastTo: None;
  /** Output index j is input index `starts + j·steps`, steps from 1. */
  slice: { readonly starts: readonly number[]; readonly steps: readonly number[] };
  /** `interior` elements between neighbours, then `before` and `after`; all from 0, all filled with `value`. */
  pad: {
    readonly before: readonly number[];
    readonly after: readonly number[];
    readonly interior: readonly number[];
    readonly value: number;
  };
  flip: { readonly axes: readonly number[] };
  concat: { readonly axis: number };

  // Reductions and scans
  sum: { readonly axes: readonly number[] };
  max: { readonly axes: readonly number[] };
  /** i32 index of the first maximum; NaN counts as the largest. */
  argMax: { readonly axis: number };
  /** Running sums that include their own element. */
  cumsum: { readonly axis: number };
  /** i32 indices that sort stably; NaN sorts as the largest. */
  argSort: { readonly axis: number; readonly descending: boolean };

  // Indexing
  /** `out[…, i, …] = x[…, index[…, i, …], …]`: PyTorch's `gather`; off the axis, index sizes may be smaller. */
  gather: { readonly axis: number };
  /** Inputs (base, index, updates): base plus every update added at its index; the adjoint of `gather`. */
  scatterAdd: { readonly axis: number };

  // Contractions
  /** [batch…, M, K] × [batch…, K, N] → [batch…, M, N], batch shapes equal. */
  matmul: None;
  conv: ConvAttributes;

  // Attention
  /**
   * Inputs (q, k, v) or (q, k, v, bias): softmax(q·kᵀ + bias)·v. q: [batch…, queries, dim], k: [batch…, keys, dim],
   * v: [batch…, keys, width], bias: [batch…, queries, keys], none of them empty → [batch…, queries, width].
   */
  attention: AttentionAttributes;
  /**
   * Inputs (q, k, v, g) or (q, k, v, g, bias), g being the cotangent of `attention`'s output. For each batch, the
   * gradients by q, k and v one after the other, in one row: [batch…, queries·dim + keys·dim + keys·width].
   */
  attentionGradient: AttentionAttributes;

  // Annotations: each evaluates to its first input.
  /** A fresh identity, with respect to which something is differentiated. */
  variable: None;
  /** Not before the other inputs are there: keeps recomputed values from being computed early. */
  barrier: None;
  /** An output of a call that brings its own gradient rule. */
  custom: { readonly call: CustomCall; readonly index: number };
}

/**
 * The general convolution, closed under differentiation:
 * `out[n, o, q] = Σ_{i,k} x[n, i, (q·stride + k·kernelDilation − before) / inputDilation] · w[o, i, k]`,
 * where positions that do not divide, or lie outside, contribute nothing. Padding may be negative (a crop).
 * x: [N, groups·I, spatial…], w: [groups·O, I, kernel…] → [N, groups·O, out…]. Arrays hold one entry a spatial axis.
 */
export interface ConvAttributes {
  readonly strides: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly inputDilation: readonly number[];
  readonly kernelDilation: readonly number[];
  readonly groups: number;
}

export interface AttentionAttributes {
  /** Query i sees keys 0 to i only. */
  readonly causal: boolean;
}

/**
 * A call with its own gradient rule. The gradient of its outputs goes to `inputs` by `rule`, and never into the graph
 * that computed the outputs.
 */
export interface CustomCall {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputCount: number;
  /**
   * Cotangents of the outputs (`undefined` where nothing flowed back) to gradients of the inputs (`undefined` for zero).
   */
  readonly rule: (cotangents: readonly (Tensor | undefined)[]) => readonly (Tensor | undefined)[];
}

export type Primitive = keyof Attributes;

/** What a pending tensor is computed from. */
export type Node = {
  [P in Primitive]: { readonly primitive: P; readonly inputs: readonly Tensor[]; readonly attributes: Attributes[P] };
}[Primitive];

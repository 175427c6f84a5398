import type { Tensor } from './tensor.ts';

/** Elementwise primitives of one input; the output has its shape and dtype. */
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

/** Elementwise primitives of two inputs of the same shape and dtype; `broadcastTo` is a separate node. */
export type BinaryPrimitive = 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'remainder';

/** Elementwise primitives whose output is bool. */
export type TestPrimitive = 'equal' | 'less' | 'isNaN' | 'isFinite';

type None = Readonly<Record<never, never>>;

/** The attributes of primitives that have none: one shared object, since graphs have thousands of such nodes. */
export const noAttributes: None = Object.freeze({});

/**
 * All primitives and their attributes. Executors evaluate and `autograd` differentiates these and nothing else; every
 * other operator is composed of them.
 *
 * Reductions keep the reduced axes with size 1, and `broadcastTo` keeps the rank: a reduction is the gradient of a
 * broadcast and the reverse. Operators that drop or add axes reshape before or after them.
 */
export interface Attributes extends Record<UnaryPrimitive | BinaryPrimitive | TestPrimitive, None> {
  // Sources
  /** One number in every element of the output. */
  constant: { readonly value: number };
  /** 0, 1, 2, … along one axis. */
  iota: { readonly axis: number };

  // Elementwise
  /** Converts to the dtype of the output, as `roundTo` does. */
  cast: None;
  /** `where(condition, a, b)`. */
  where: None;
  /** One word of Threefry-2x32-20 of (key0, key1, counter0, counter1): Salmon et al. 2011. */
  threefry: { readonly word: 0 | 1 };

  // Movement
  reshape: None;
  /** Output axis i is input axis `axes[i]`. */
  permute: { readonly axes: readonly number[] };
  /** Repeats axes of size 1 to the sizes of the output. */
  broadcastTo: None;
  /** Output index j is input index `starts + j·steps`; steps are at least 1. */
  slice: { readonly starts: readonly number[]; readonly steps: readonly number[] };
  /** Inserts `interior` elements between neighbours, and `before` and `after` around them, each with `value`. */
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
  /** The i32 index of the first maximum; NaN counts as the largest. */
  argMax: { readonly axis: number };
  /** Inclusive running sums. */
  cumsum: { readonly axis: number };
  /** The i32 indices of a stable sort; NaN sorts as the largest. */
  argSort: { readonly axis: number; readonly descending: boolean };

  // Indexing
  /** `out[…, i, …] = x[…, index[…, i, …], …]`: PyTorch's `gather`; on other axes, the index may be smaller than x. */
  gather: { readonly axis: number };
  /** Inputs (base, index, updates): adds each update to the base at its index. The adjoint of `gather`. */
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
   * Inputs (q, k, v, g) or (q, k, v, g, bias), where g is the cotangent of `attention`'s output. Each batch gives one row
   * with the gradients of q, k and v in this order: [batch…, queries·dim + keys·dim + keys·width].
   */
  attentionGradient: AttentionAttributes;

  // Annotations: each evaluates to its first input.
  /** A new identity of a tensor, to differentiate with respect to. */
  variable: None;
  /** Evaluates after all inputs: gradient checkpointing keeps recomputed values from being computed early. */
  barrier: None;
  /** Output `index` of a call with its own gradient rule. */
  custom: { readonly call: CustomCall; readonly index: number };
}

/**
 * The general convolution, closed under differentiation:
 * `out[n, o, q] = Σ_{i,k} x[n, i, (q·stride + k·kernelDilation − before) / inputDilation] · w[o, i, k]`,
 * where positions that are not whole, or lie outside of x, contribute nothing. Negative padding crops.
 * x: [N, groups·I, spatial…], w: [groups·O, I, kernel…] → [N, groups·O, out…]. Arrays hold one entry per spatial axis.
 */
export interface ConvAttributes {
  readonly strides: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly inputDilation: readonly number[];
  readonly kernelDilation: readonly number[];
  readonly groups: number;
}

/** The attributes of `attention` and `attentionGradient`. */
export interface AttentionAttributes {
  /** Query i attends to keys 0 to i only. */
  readonly causal: boolean;
}

/**
 * A call with its own gradient rule. `rule` takes the cotangents of its outputs to gradients of `inputs`; gradients never
 * enter the graph that computed the outputs.
 */
export interface CustomCall {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputCount: number;
  /**
   * Takes one cotangent per output (`undefined` for zero), returns one gradient per input (`undefined` for zero).
   */
  readonly rule: (cotangents: readonly (Tensor | undefined)[]) => readonly (Tensor | undefined)[];
}

/** The name of a primitive. */
export type Primitive = keyof Attributes;

/** A node of the graph: the primitive that computes a pending tensor, its inputs and attributes. */
export type Node = {
  [P in Primitive]: { readonly primitive: P; readonly inputs: readonly Tensor[]; readonly attributes: Attributes[P] };
}[Primitive];

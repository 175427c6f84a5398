import type { Device, DeviceBuffer } from './device.ts';
import type { DType, StorageArray } from './dtype.ts';
import { DisposedError } from './errors.ts';
import type { Attributes, Node, Primitive } from './primitives.ts';
import { formatShape, frozenShape, type Shape, sizeOf } from './shape.ts';

/** Where the value of a tensor is, or how it comes about. */
export type Source =
  | { readonly kind: 'pending'; readonly node: Node }
  | { readonly kind: 'host'; readonly storage: StorageArray }
  | { readonly kind: 'placed'; readonly device: Device; readonly buffer: DeviceBuffer }
  | { readonly kind: 'gone'; readonly why: string };

let created = 0;

/** The id that the next tensor will get. Ids only grow, so they tell what existed before a point in time. */
export const nextTensorId = (): number => created;

/**
 * An immutable array: a shape, a dtype, and either a value or the operator that will compute it. Building tensors runs
 * nothing; `realize` and `read` do. Its operators are free functions, and methods of the same names.
 */
export class Tensor {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Unique in the process, ascending in order of creation; error messages name it. */
  readonly id: number;
  #source: Source;
  /** The last walk that came by. */
  #walk = 0;

  /** Use `tensor`, `zeros` and the operators; this is for them. */
  constructor(shape: Shape, dtype: DType, source: Source) {
    this.shape = shape;
    this.dtype = dtype;
    this.id = created++;
    this.#source = source;
  }

  /** The number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** The number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** For this layer's use: the source of a tensor. */
  static sourceOf(tensor: Tensor): Source {
    return tensor.#source;
  }

  /** For this layer's use: replaces the source, as when a value was computed or given up. */
  static settle(tensor: Tensor, source: Source): void {
    tensor.#source = source;
  }

  /** For this layer's use: whether a walk through a graph, by its number, comes by a tensor for the first time. */
  static isNewTo(tensor: Tensor, walk: number): boolean {
    if (tensor.#walk === walk) return false;
    tensor.#walk = walk;
    return true;
  }
}

export const { sourceOf, settle, isNewTo } = Tensor;

/** What a pending tensor is computed from; nothing of any other. */
export const inputsOf = (tensor: Tensor): readonly Tensor[] => {
  const source = sourceOf(tensor);
  return source.kind === 'pending' ? source.node.inputs : [];
};

/** `f32[2, 3]`. */
export const typeOf = (tensor: Tensor): string => `${tensor.dtype}${formatShape(tensor.shape)}`;

/** How messages name a tensor: its type, its id and how it came about. */
export function describe(tensor: Tensor): string {
  const source = sourceOf(tensor);
  const origin = source.kind === 'pending' ? `, result of ${source.node.primitive}` : '';
  return `${typeOf(tensor)} (tensor #${tensor.id}${origin})`;
}

/** Throws unless the tensor can still be used. */
export function checkUsable(user: string, tensor: Tensor): void {
  const source = sourceOf(tensor);
  if (source.kind === 'gone') {
    throw new DisposedError(`${user}: ${describe(tensor)} can no longer be used: ${source.why}`);
  }
}

/** A pending tensor. Shapes and dtypes have been checked by the operator that calls this. */
export function makeNode<P extends Primitive>(
  primitive: P,
  inputs: readonly Tensor[],
  attributes: Attributes[P],
  shape: Shape,
  dtype: DType,
): Tensor {
  for (const input of inputs) checkUsable(primitive, input);
  // The correlation between `primitive` and `attributes` holds by the signature; the union type cannot express it.
  const node = { primitive, inputs, attributes } as unknown as Node;
  return new Tensor(frozenShape(shape), dtype, { kind: 'pending', node });
}

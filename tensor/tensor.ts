import type { Device, DeviceBuffer } from './device.ts';
import type { DType, StorageArray } from './dtype.ts';
import { DisposedError } from './errors.ts';
import type { Attributes, Node, Primitive } from './primitives.ts';
import { formatShape, frozenShape, type Shape, sizeOf } from './shape.ts';

/** Where the value of a tensor is: not computed yet, on the host, on a device, or given up. */
export type Source =
  | { readonly kind: 'pending'; readonly node: Node }
  | { readonly kind: 'host'; readonly storage: StorageArray }
  | { readonly kind: 'placed'; readonly device: Device; readonly buffer: DeviceBuffer }
  | { readonly kind: 'gone'; readonly why: string };

let created = 0;

/** The id of the next tensor. Ids only grow: a tensor with a smaller id already exists. */
export const nextTensorId = (): number => created;

/**
 * An immutable, lazy array: a shape, a dtype, and either a value or the node that computes it. Operators only build the
 * graph; `realize` and `read` run it. Operators are free functions, and methods of the same names.
 */
export class Tensor {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Unique in the process, in the order of creation; error messages name it. */
  readonly id: number;
  #source: Source;
  /** The number of the last walk that visited this tensor. */
  #walk = 0;

  /** Internal: `tensor`, `zeros` and the operators make tensors. */
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

  /** Internal: where a tensor's value is. */
  static sourceOf(tensor: Tensor): Source {
    return tensor.#source;
  }

  /** Internal: replaces the source when the value is computed or given up. */
  static settle(tensor: Tensor, source: Source): void {
    tensor.#source = source;
  }

  /** Internal: true the first time that the walk of this number visits a tensor. */
  static isNewTo(tensor: Tensor, walk: number): boolean {
    if (tensor.#walk === walk) return false;
    tensor.#walk = walk;
    return true;
  }
}

export const { sourceOf, settle, isNewTo } = Tensor;

/** The inputs of a pending tensor; none for a tensor that has its value. */
export const inputsOf = (tensor: Tensor): readonly Tensor[] => {
  const source = sourceOf(tensor);
  return source.kind === 'pending' ? source.node.inputs : [];
};

/** The dtype and shape of a tensor as text: `f32[2, 3]`. */
export const typeOf = (tensor: Tensor): string => `${tensor.dtype}${formatShape(tensor.shape)}`;

/** A tensor's name in messages: its type, its id and the primitive that computes it. */
export function describe(tensor: Tensor): string {
  const source = sourceOf(tensor);
  const origin = source.kind === 'pending' ? `, result of ${source.node.primitive}` : '';
  return `${typeOf(tensor)} (tensor #${tensor.id}${origin})`;
}

/** Throws a DisposedError if the tensor was disposed of or donated. */
export function checkUsable(user: string, tensor: Tensor): void {
  const source = sourceOf(tensor);
  if (source.kind === 'gone') {
    throw new DisposedError(`${user}: ${describe(tensor)} can no longer be used: ${source.why}`);
  }
}

/** Makes a pending tensor; the caller has checked shapes and dtypes. */
export function makeNode<P extends Primitive>(
  primitive: P,
  inputs: readonly Tensor[],
  attributes: Attributes[P],
  shape: Shape,
  dtype: DType,
): Tensor {
  for (const input of inputs) checkUsable(primitive, input);
  // The signature ties `attributes` to `primitive`; the union type cannot express it.
  const node = { primitive, inputs, attributes } as unknown as Node;
  return new Tensor(frozenShape(shape), dtype, { kind: 'pending', node });
}

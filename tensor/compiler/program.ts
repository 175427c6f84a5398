import { type DType, isHalf } from '../dtype.ts';
import type { Attributes, Primitive } from '../primitives.ts';
import type { Shape } from '../shape.ts';
import { sourceOf, type Tensor } from '../tensor.ts';

/** A node of a program: like a pending tensor, but without identities, and equal nodes are one node. */
export interface Value {
  readonly id: number;
  readonly primitive: Exclude<Primitive, 'variable' | 'custom'> | 'leaf';
  readonly inputs: readonly Value[];
  readonly attributes: Attributes[Primitive];
  /** For a leaf, which leaf; for a constant, which scalar of the run. */
  readonly slot: number;
  readonly shape: Shape;
  readonly dtype: DType;
}

/**
 * A graph as the compiler sees it. What may differ from run to run (the leaves' buffers, the constants' numbers) is not
 * part of it, so that one compiled plan serves every step of a training.
 */
export interface Program {
  /** Equal for programs that one plan can run. */
  readonly key: string;
  /** Inputs before users. */
  readonly values: readonly Value[];
  readonly outputs: readonly Value[];
  readonly leaves: readonly Tensor[];
  readonly scalars: readonly number[];
}

/** The attributes that a value of primitive P has. */
export const attributesOf = <P extends Primitive>(value: Value & { readonly primitive: P | 'leaf' }): Attributes[P] =>
  value.attributes as Attributes[P];

const attributesKey = (attributes: object): string =>
  Object.keys(attributes).length === 0 ? '' : JSON.stringify(attributes);

/** Reads a graph into a program. `order` holds the pending tensors, inputs before users. */
export function readProgram(order: readonly Tensor[], outputs: readonly Tensor[]): Program {
  const known = new Map<Tensor, Value>();
  const shared = new Map<string, Value>();
  const values: Value[] = [];
  const leaves: Tensor[] = [];
  const scalars: number[] = [];

  const intern = (node: Omit<Value, 'id'>): Value => {
    const inputs = node.inputs.map(({ id }) => id).join();
    const key = `${node.primitive}${node.slot < 0 ? '' : node.slot}(${inputs})${attributesKey(node.attributes)}${node.dtype}[${node.shape.join()}]`;
    const existing = shared.get(key);
    if (existing !== undefined) return existing;
    const value = { ...node, id: values.length };
    shared.set(key, value);
    values.push(value);
    return value;
  };
  const read = (tensor: Tensor): Value => {
    const source = sourceOf(tensor);
    const { shape, dtype } = tensor;
    if (source.kind !== 'pending') {
      return intern({ primitive: 'leaf', inputs: [], attributes: {}, slot: leaves.push(tensor) - 1, shape, dtype });
    }
    const { primitive, attributes } = source.node;
    const inputs = source.node.inputs.map(valueOf);
    if (primitive === 'variable' || primitive === 'custom') return inputs[0] as Value;
    if (source.node.primitive === 'constant') {
      const slot = scalars.push(source.node.attributes.value) - 1;
      return intern({ primitive, inputs, attributes: {}, slot, shape, dtype });
    }
    const node = { primitive, inputs, attributes, slot: -1, shape, dtype };
    return (primitive === 'matmul' || primitive === 'conv') && isHalf(dtype) ? widened(node) : intern(node);
  };
  /** Contractions of halves are contractions in f32, rounded once. */
  const widened = (node: Omit<Value, 'id'>): Value => {
    const converted = (value: Value, dtype: DType): Value =>
      intern({ primitive: 'cast', inputs: [value], attributes: {}, slot: -1, shape: value.shape, dtype });
    const wide = intern({ ...node, inputs: node.inputs.map((input) => converted(input, 'f32')), dtype: 'f32' });
    return converted(wide, node.dtype);
  };
  const valueOf = (tensor: Tensor): Value => {
    const value = known.get(tensor) ?? read(tensor);
    known.set(tensor, value);
    return value;
  };

  for (const tensor of order) valueOf(tensor);
  const results = outputs.map(valueOf);
  const key = `${[...shared.keys()].join(';')}→${results.map(({ id }) => id).join()}`;
  return { key, values, outputs: results, leaves, scalars };
}

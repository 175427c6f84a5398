import { type DType, dtypes, isHalf } from '../dtype.ts';
import { computedOn } from '../placement.ts';
import { type Attributes, noAttributes, type Primitive } from '../primitives.ts';
import type { Shape } from '../shape.ts';
import { sourceOf, type Tensor } from '../tensor.ts';
import { NumbersByTensor } from '../tensorIds.ts';
import { compositionOf, type IsComposed } from './compositions.ts';
import { addAll, addFloat, Interner, type WordSink } from './interner.ts';

/** A node of a program: like a pending tensor, but without identities, and equal nodes are one node; numbers never are. */
export interface Value {
  readonly id: number;
  readonly primitive: Exclude<Primitive, 'variable' | 'custom'> | 'leaf';
  readonly inputs: readonly Value[];
  readonly attributes: Attributes[Primitive];
  /** Equal for values of a program that have the same primitive, attributes, shape and dtype. */
  readonly form: number;
  /** For a leaf, which leaf; for a constant, which scalar of the run; else −1. */
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

type ValuePrimitive = Value['primitive'];

const primitiveCodes = new Map<string, number>();

/** A number for a primitive, the same as long as the process runs. */
export function codeOf(primitive: Primitive | 'leaf'): number {
  const known = primitiveCodes.get(primitive);
  if (known !== undefined) return known;
  primitiveCodes.set(primitive, primitiveCodes.size);
  return primitiveCodes.size - 1;
}

const dtypeCodes: ReadonlyMap<DType, number> = new Map(dtypes.map((dtype, code) => [dtype, code]));

/** Adds a dtype and a shape. */
export function addType(sink: WordSink, dtype: DType, shape: Shape): void {
  sink.add(dtypeCodes.get(dtype) as number);
  addAll(sink, shape);
}

/** Where each output of a program is, for those that are several times where it is first. */
export const outputIndices = ({ outputs }: Program): Map<Value, number> =>
  new Map([...outputs.entries()].reverse().map(([i, output]) => [output, i]));

/** Adds what attributes hold, all of it, such that what follows cannot be taken for a part of it. */
export function addAttribute(sink: WordSink, attribute: unknown): void {
  if (typeof attribute === 'number') {
    // −0 is not 0 here.
    if ((attribute | 0) === attribute && !Object.is(attribute, -0)) {
      sink.add(0);
      sink.add(attribute);
    } else {
      sink.add(1);
      addFloat(sink, attribute);
    }
  } else if (typeof attribute === 'boolean') sink.add(attribute ? 2 : 3);
  else if (Array.isArray(attribute)) {
    sink.add(4 + attribute.length);
    for (const part of attribute) addAttribute(sink, part);
  } else if (typeof attribute === 'object' && attribute !== null) {
    // How many parts an object has follows from the primitive.
    for (const name in attribute) addAttribute(sink, (attribute as Readonly<Record<string, unknown>>)[name]);
  } else throw new Error(`an attribute is ${String(attribute)}, which plans cannot be known by`);
}

const noInputs: readonly Value[] = [];

const nothing: IsComposed = () => false;

/**
 * Reads a graph into a program. `order` holds the pending tensors, inputs before users. Where the executor has no
 * kernel for a primitive, what that `isComposed` of takes its place.
 */
export const readProgram = (order: readonly Tensor[], outputs: readonly Tensor[], isComposed?: IsComposed): Program =>
  readGraph(order, outputs, isComposed).program;

/** The same, and the tensors whose numbers are the program's `scalars`. */
export function readGraph(
  order: readonly Tensor[],
  outputs: readonly Tensor[],
  isComposed: IsComposed = nothing,
): { readonly program: Program; readonly constants: readonly Tensor[] } {
  /** What tensors are read as, by the number of the value. */
  const known = new NumbersByTensor(order);
  const forms = new Interner();
  const nodes = new Interner();
  const values: Value[] = [];
  const leaves: Tensor[] = [];
  const scalars: number[] = [];
  const constants: Tensor[] = [];

  const intern = (
    primitive: ValuePrimitive,
    inputs: readonly Value[],
    attributes: object,
    slot: number,
    shape: Shape,
    dtype: DType,
  ): Value => {
    forms.add(codeOf(primitive));
    addType(forms, dtype, shape);
    addAttribute(forms, attributes);
    const form = forms.close();
    nodes.add(form);
    nodes.add(slot);
    nodes.add(inputs.length);
    for (const { id } of inputs) nodes.add(id);
    const id = nodes.close();
    const existing = values[id];
    if (existing !== undefined) return existing;
    const value: Value = { id, primitive, inputs, attributes, form, slot, shape, dtype };
    values.push(value);
    return value;
  };
  /** Those of `order` are no leaves, even while they are computed. */
  const read = (tensor: Tensor, isOrdered: boolean): Value => {
    const source = sourceOf(tensor);
    const { shape, dtype } = tensor;
    if (source.kind !== 'pending' || (!isOrdered && computedOn(tensor) !== undefined))
      return intern('leaf', noInputs, noAttributes, leaves.push(tensor) - 1, shape, dtype);
    const { primitive, attributes } = source.node;
    const composition = compositionOf(tensor, isComposed);
    if (composition !== undefined) return valueOf(composition);
    const inputs = source.node.inputs.map((input) => valueOf(input));
    if (primitive === 'variable' || primitive === 'custom') return inputs[0] as Value;
    if (source.node.primitive === 'constant') {
      const slot = scalars.push(source.node.attributes.value) - 1;
      constants.push(tensor);
      return intern(primitive, inputs, noAttributes, slot, shape, dtype);
    }
    return (primitive === 'matmul' || primitive === 'conv') && isHalf(dtype)
      ? widened(primitive, inputs, attributes, shape, dtype)
      : intern(primitive, inputs, attributes, -1, shape, dtype);
  };
  /** Contractions of halves are contractions in f32, rounded once. */
  const widened = (
    primitive: 'matmul' | 'conv',
    inputs: readonly Value[],
    attributes: object,
    shape: Shape,
    dtype: DType,
  ): Value => {
    const converted = (value: Value, to: DType): Value => intern('cast', [value], noAttributes, -1, value.shape, to);
    const wide = inputs.map((input) => converted(input, 'f32'));
    return converted(intern(primitive, wide, attributes, -1, shape, 'f32'), dtype);
  };
  const valueOf = (tensor: Tensor, isOrdered = false): Value => {
    const existing = known.get(tensor);
    if (existing !== undefined) return values[existing] as Value;
    const value = read(tensor, isOrdered);
    known.set(tensor, value.id);
    return value;
  };

  for (const tensor of order) valueOf(tensor, true);
  const results = outputs.map((output) => valueOf(output));
  const key = `${forms.count} ${nodes.count} ${results.map(({ id }) => id).join()} ${forms}${nodes}`;
  return { program: { key, values, outputs: results, leaves, scalars }, constants };
}

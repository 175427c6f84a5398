import { type DType, dtypes, isHalf } from '../dtype.ts';
import { computedOn } from '../placement.ts';
import { type Attributes, noAttributes, type Primitive } from '../primitives.ts';
import type { Shape } from '../shape.ts';
import { sourceOf, type Tensor } from '../tensor.ts';
import { NumbersByTensor } from '../tensorIds.ts';
import { compositionOf, type IsComposed } from './compositions.ts';
import { addAll, addFloat, Interner, type WordSink } from './interner.ts';

/** A node of a program. Unlike pending tensors, equal nodes are one value (constants never are), and identities vanish. */
export interface Value {
  readonly id: number;
  readonly primitive: Exclude<Primitive, 'variable' | 'custom'> | 'leaf';
  readonly inputs: readonly Value[];
  readonly attributes: Attributes[Primitive];
  /** Equal for values of a program with the same primitive, attributes, shape and dtype. */
  readonly form: number;
  /** For a leaf, its index in `leaves`; for a constant, its index in `scalars`; else −1. */
  readonly slot: number;
  readonly shape: Shape;
  readonly dtype: DType;
}

/**
 * A graph as the compiler sees it. Buffers of leaves and values of constants are kept apart in `leaves` and `scalars`, so that
 * one compiled plan serves every step of a training.
 */
export interface Program {
  /** Equal for programs that differ only in `leaves` and `scalars`: one plan runs them all. */
  readonly key: string;
  /** Inputs before users. */
  readonly values: readonly Value[];
  readonly outputs: readonly Value[];
  readonly leaves: readonly Tensor[];
  readonly scalars: readonly number[];
}

/** The attributes of a value of primitive P. */
export const attributesOf = <P extends Primitive>(value: Value & { readonly primitive: P | 'leaf' }): Attributes[P] =>
  value.attributes as Attributes[P];

type ValuePrimitive = Value['primitive'];

const primitiveCodes = new Map<string, number>();

/** A number for a primitive, fixed while the process runs. */
export function codeOf(primitive: Primitive | 'leaf'): number {
  const known = primitiveCodes.get(primitive);
  if (known !== undefined) return known;
  primitiveCodes.set(primitive, primitiveCodes.size);
  return primitiveCodes.size - 1;
}

const dtypeCodes: ReadonlyMap<DType, number> = new Map(dtypes.map((dtype, code) => [dtype, code]));

/** Writes a dtype and a shape. */
export function addType(sink: WordSink, dtype: DType, shape: Shape): void {
  sink.add(dtypeCodes.get(dtype) as number);
  addAll(sink, shape);
}

/** The index of each output of a program; for one that occurs several times, the first. */
export const outputIndices = ({ outputs }: Program): Map<Value, number> =>
  new Map([...outputs.entries()].reverse().map(([i, output]) => [output, i]));

/** Writes all that attributes hold, so that different attributes of one primitive never write equal words. */
export function addAttribute(sink: WordSink, attribute: unknown): void {
  if (typeof attribute === 'number') {
    // −0 and 0 must differ.
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
    // The primitive determines how many properties there are.
    for (const name in attribute) addAttribute(sink, (attribute as Readonly<Record<string, unknown>>)[name]);
  } else throw new Error(`an attribute is ${String(attribute)}, which cannot be part of a plan's key`);
}

const noInputs: readonly Value[] = [];

const nothingComposed: IsComposed = () => false;

/**
 * Reads a graph into a program. `order` holds the pending tensors, inputs before users. `isComposed` tells for which tensors
 * the executor has no kernel; their compositions of other primitives take their place.
 */
export const readProgram = (order: readonly Tensor[], outputs: readonly Tensor[], isComposed?: IsComposed): Program =>
  readGraph(order, outputs, isComposed).program;

/** Like `readProgram`, and also returns the tensors whose numbers are the program's `scalars`. */
export function readGraph(
  order: readonly Tensor[],
  outputs: readonly Tensor[],
  isComposed: IsComposed = nothingComposed,
): { readonly program: Program; readonly constants: readonly Tensor[] } {
  /** The number of the value that each tensor has been read as. */
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
  /** Tensors of `order` are never leaves; others are leaves while a device computes them. */
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
  /** Contractions in f16 and bf16 are computed in f32 and rounded once. */
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

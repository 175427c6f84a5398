import type { DType } from '../dtype.ts';
import type { Attributes } from '../primitives.ts';
import { stridesOf } from '../shape.ts';
import type { Condition, Scalar } from './kernel.ts';
import { add, fixed, flatten, type Position, quotient, rangeOf, samePosition, scale, unflatten } from './position.ts';
import { attributesOf, type Value } from './program.ts';

/** Expresses the element of a value at given coordinates over loads, through all values that have no buffer. */
export type Lowering = (value: Value, coordinates: readonly Position[]) => Scalar;

type Load = Extract<Scalar, { kind: 'load' }>;

/** Loads by the value that they read. */
export type Loads = Map<Value, Load[]>;

/**
 * A lowering for one stage of a kernel, or for all of it. `hasBuffer` tells which values are loaded. `staged` may replace the
 * load of a value that the kernel has just computed. Stages share equal loads by passing the same `loads`.
 */
export function lowering(
  hasBuffer: (value: Value) => boolean,
  staged: (value: Value, position: Position) => Scalar | undefined = () => undefined,
  loads: Loads = new Map(),
): Lowering {
  const known = new Map<Value, { readonly coordinates: readonly Position[]; readonly scalar: Scalar }[]>();
  const element: Lowering = (value, coordinates) => {
    // Nearly every value is lowered at one place.
    const places = known.get(value);
    const existing = places?.find((place) => sameCoordinates(place.coordinates, coordinates));
    if (existing !== undefined) return existing.scalar;
    const scalar = hasBuffer(value) ? load(value, coordinates) : define(value, coordinates, element);
    if (places === undefined) known.set(value, [{ coordinates, scalar }]);
    else places.push({ coordinates, scalar });
    return scalar;
  };
  const load = (value: Value, coordinates: readonly Position[]): Scalar => {
    const position = flatten(coordinates, stridesOf(value.shape));
    return staged(value, position) ?? sharedLoad(loads, value, position);
  };
  return element;
}

function sharedLoad(loads: Loads, from: Value, position: Position): Load {
  const existing = loads.get(from);
  const known = existing?.find((load) => samePosition(load.position, position));
  if (known !== undefined) return known;
  const load: Load = { kind: 'load', from, position, dtype: from.dtype };
  if (existing === undefined) loads.set(from, [load]);
  else existing.push(load);
  return load;
}

const sameCoordinates = (a: readonly Position[], b: readonly Position[]): boolean =>
  a === b || a.every((position, axis) => samePosition(position, b[axis] as Position));

/** The element of a value in terms of its inputs' elements. For a value with a buffer, this is the expression to store. */
export function define(value: Value, coordinates: readonly Position[], element: Lowering): Scalar {
  const { inputs, dtype } = value;
  const input = (i: number): Value => inputs[i] as Value;
  switch (value.primitive) {
    case 'constant':
      return { kind: 'argument', slot: value.slot, dtype };
    case 'iota':
      return { kind: 'place', position: coordinates[(value.attributes as Attributes['iota']).axis] as Position, dtype };
    case 'barrier':
      return element(input(0), coordinates);
    case 'reshape': {
      const position = flatten(coordinates, stridesOf(value.shape));
      return element(input(0), unflatten(position, input(0).shape));
    }
    case 'permute': {
      const { axes } = value.attributes as Attributes['permute'];
      return element(
        input(0),
        axes.map((_, axis) => coordinates[axes.indexOf(axis)] as Position),
      );
    }
    case 'broadcastTo':
      return element(
        input(0),
        coordinates.map((coordinate, axis) => (input(0).shape[axis] === 1 ? fixed(0) : coordinate)),
      );
    case 'slice': {
      const { starts, steps } = value.attributes as Attributes['slice'];
      return element(
        input(0),
        coordinates.map((coordinate, axis) =>
          add(scale(coordinate, steps[axis] as number), fixed(starts[axis] as number)),
        ),
      );
    }
    case 'flip': {
      const { axes } = value.attributes as Attributes['flip'];
      return element(
        input(0),
        coordinates.map((coordinate, axis) =>
          axes.includes(axis) ? add(scale(coordinate, -1), fixed((value.shape[axis] as number) - 1)) : coordinate,
        ),
      );
    }
    case 'pad':
      return padded(value, coordinates, element);
    case 'concat':
      return joined(value, coordinates, element);
    case 'gather':
      return lookedUp(value, coordinates, element);
    default: {
      const { word = 0 } = value.attributes as Partial<Attributes['threefry']>;
      const operator = value.primitive as Extract<Scalar, { kind: 'apply' }>['operator'];
      return { kind: 'apply', operator, word, inputs: inputs.map((x) => element(x, coordinates)), dtype };
    }
  }
}

/** Drops conditions that always hold; `undefined` if one never holds. */
function simplify(conditions: readonly Condition[]): Condition[] | undefined {
  const open: Condition[] = [];
  for (const condition of conditions) {
    const [low, high] = rangeOf(condition.position);
    if (condition.kind === 'between') {
      if (high < condition.low || low > condition.high) return undefined;
      if (low >= condition.low && high <= condition.high) continue;
    } else if (condition.by === 1) continue;
    open.push(condition);
  }
  return open;
}

const mask = (conditions: readonly Condition[], inside: () => Scalar, outside: Scalar): Scalar => {
  const open = simplify(conditions);
  if (open === undefined) return outside;
  return open.length === 0
    ? inside()
    : { kind: 'masked', conditions: open, inside: inside(), outside, dtype: outside.dtype };
};

function padded(value: Value, coordinates: readonly Position[], element: Lowering): Scalar {
  const { before, interior, value: filling } = value.attributes as Attributes['pad'];
  const [x] = value.inputs as readonly [Value];
  const outside: Scalar = { kind: 'literal', value: filling, dtype: value.dtype };
  if (x.shape.includes(0)) return outside;
  const shifted = coordinates.map((coordinate, axis) => add(coordinate, fixed(-(before[axis] as number))));
  const conditions = shifted.flatMap((position, axis): Condition[] => {
    const gap = (interior[axis] as number) + 1;
    const high = ((x.shape[axis] as number) - 1) * gap;
    return [
      { kind: 'between', position, low: 0, high },
      { kind: 'multiple', position, by: gap },
    ];
  });
  const inner = () =>
    element(
      x,
      shifted.map((position, axis) => quotient(position, (interior[axis] as number) + 1)),
    );
  return mask(conditions, inner, outside);
}

function joined(value: Value, coordinates: readonly Position[], element: Lowering): Scalar {
  const { axis } = attributesOf(value as Value & { primitive: 'concat' });
  const along = coordinates[axis] as Position;
  const pieces = value.inputs.filter((piece) => !piece.shape.includes(0));
  let start = 0;
  const starts = pieces.map((piece) => {
    start += piece.shape[axis] as number;
    return start - (piece.shape[axis] as number);
  });
  // From the last piece to the first: a piece is chosen where the coordinate lies before its end.
  const chosen = pieces.reduceRight<Scalar | undefined>((rest, piece, i) => {
    const from = starts[i] as number;
    const inside = () =>
      element(
        piece,
        coordinates.map((coordinate, other) => (other === axis ? add(coordinate, fixed(-from)) : coordinate)),
      );
    if (rest === undefined) return inside();
    const high = from + (piece.shape[axis] as number) - 1;
    return mask([{ kind: 'between', position: along, low: Number.NEGATIVE_INFINITY, high }], inside, rest);
  }, undefined);
  // A concat of empty pieces has no elements, so this is never read.
  return chosen ?? { kind: 'literal', value: 0, dtype: value.dtype };
}

function lookedUp(value: Value, coordinates: readonly Position[], element: Lowering): Scalar {
  const { axis } = value.attributes as Attributes['gather'];
  const [x, index] = value.inputs as readonly [Value, Value];
  const strides = stridesOf(x.shape);
  const others = coordinates.map((coordinate, i) => (i === axis ? fixed(0) : coordinate));
  return {
    kind: 'lookup',
    from: x,
    position: flatten(others, strides),
    index: element(index, coordinates),
    stride: strides[axis] as number,
    size: x.shape[axis] as number,
    gather: value,
    dtype: x.dtype,
  };
}

/** The dtype that a scalar is computed in: f16 and bf16 are widened to f32. */
export const computeDType = (dtype: DType): 'f64' | 'f32' | 'i32' | 'u32' | 'bool' =>
  dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype;

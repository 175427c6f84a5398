import { stridesOf } from '../shape.ts';
import type { LoopKernel } from './kernel.ts';
import { define, lowering } from './lower.ts';
import { at, flatten, samePosition, variable } from './position.ts';
import { isElementwise } from './primitiveKinds.ts';
import type { Program, Value } from './program.ts';
import { allParts } from './scalars.ts';
import { operandViewsOf } from './stridedViews.ts';

/**
 * A map that a matrix product or convolution applies to each element before it stores it. The map loads the elements of
 * `contraction`, which has no buffer, at the positions where it stores.
 */
export interface Epilogue {
  readonly contraction: Value;
  readonly map: LoopKernel;
}

/** Epilogues by the value that they store, and the values that have buffers when contractions use them. */
export interface Epilogues {
  readonly epilogues: ReadonlyMap<Value, Epilogue>;
  readonly buffers: ReadonlySet<Value>;
}

export const noEpilogues = (buffers: ReadonlySet<Value>): Epilogues => ({ epilogues: new Map(), buffers });

/**
 * Moves elementwise operators that follow a contraction (a bias, an activation, a residual, a cast) into the contraction. They
 * stay where they are if only one kernel reads their result and it need not be stored.
 */
export function chooseEpilogues(
  program: Program,
  chosen: ReadonlySet<Value>,
  mostLoads: number,
  widening: boolean,
): Epilogues {
  const users = findUsers(program);
  const outputs = new Set(program.outputs);
  const buffers = new Set(chosen);
  const epilogues = new Map<Value, Epilogue>();
  const operands = new Set(
    program.values.flatMap((value) =>
      operandViewsOf(value, (other) => chosen.has(other), widening).map(({ from }) => from),
    ),
  );
  for (const contraction of program.values) {
    const isNeeded = outputs.has(contraction) || operands.has(contraction);
    const hasEpilogue = ['matmul', 'conv'].includes(contraction.primitive) && !isNeeded;
    const stored = hasEpilogue ? resultOfMaps(contraction, users, chosen) : undefined;
    if (stored === undefined || epilogues.has(stored)) continue;
    const map = mapOf(stored, contraction, buffers, mostLoads - contraction.inputs.length);
    if (map === undefined) continue;
    buffers.delete(contraction);
    buffers.add(stored);
    epilogues.set(stored, { contraction, map });
  }
  return { epilogues, buffers };
}

/** By the number of a value: the distinct values that use it. */
function findUsers({ values }: Program): readonly (readonly Value[])[] {
  const users = values.map((): Value[] => []);
  for (const value of values)
    value.inputs.forEach((input, i) => {
      if (value.inputs.indexOf(input) === i) users[input.id]?.push(value);
    });
  return users;
}

/**
 * The last value of the elementwise operators and reshapes that follow a contraction, if everything that is computed from the
 * contraction depends on it alone, and it is stored or has several users.
 */
function resultOfMaps(
  contraction: Value,
  users: readonly (readonly Value[])[],
  stored: ReadonlySet<Value>,
): Value | undefined {
  const usersOf = ({ id }: Value): readonly Value[] => users[id] ?? [];
  const waiting = new Set(usersOf(contraction));
  let [made, uses]: [Value | undefined, number] = [undefined, waiting.size];
  for (;;) {
    let [next] = waiting;
    for (const other of waiting) if (next === undefined || other.id < next.id) next = other;
    if (next === undefined || !(isElementwise(next) || next.primitive === 'reshape')) break;
    waiting.delete(next);
    if (waiting.size > 0) {
      if (stored.has(next)) break;
    } else {
      if (stored.has(next)) return next;
      if (next.primitive !== 'reshape') made = next;
      uses = usersOf(next).length;
    }
    for (const user of usersOf(next)) waiting.add(user);
  }
  return uses > 1 ? made : undefined;
}

/** The map from a contraction's elements to those of a value at the same positions, if contractions can apply it. */
function mapOf(
  value: Value,
  contraction: Value,
  buffers: ReadonlySet<Value>,
  mostLoads: number,
): LoopKernel | undefined {
  const loops = value.shape.map((size) => variable(size));
  const coordinates = loops.map(at);
  const store = flatten(coordinates, stridesOf(value.shape));
  const scalar = define(
    value,
    coordinates,
    lowering((other) => other !== value && buffers.has(other)),
  );
  const loaded = new Set<Value>();
  for (const part of allParts(scalar)) {
    if (part.kind === 'masked' || part.kind === 'lookup') return undefined;
    if (part.kind !== 'load') continue;
    if (part.from === contraction && !samePosition(part.position, store)) return undefined;
    loaded.add(part.from);
  }
  if (!loaded.delete(contraction) || loaded.size > mostLoads) return undefined;
  return {
    kind: 'loops',
    outer: [],
    inner: loops,
    stages: [{ value, kind: 'map', scalar, over: 'inner', pass: 0, store }],
  };
}

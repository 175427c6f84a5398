import { stridesOf } from '../shape.ts';
import type { LoopKernel } from './kernel.ts';
import { define, lowering } from './lower.ts';
import { at, flatten, samePosition, variable } from './position.ts';
import { isElementwise } from './primitiveKinds.ts';
import type { Program, Value } from './program.ts';
import { allParts } from './scalars.ts';
import { operandViewsOf } from './stridedViews.ts';

/**
 * What a matrix product or convolution does to its elements before it stores them: a map that loads each where it
 * stores. `contraction` itself has no buffer.
 */
export interface Epilogue {
  readonly contraction: Value;
  readonly map: LoopKernel;
}

/** What is stored of a contraction, where that is made of its elements one by one, and everything that has a buffer then. */
export interface Epilogues {
  readonly epilogues: ReadonlyMap<Value, Epilogue>;
  readonly buffers: ReadonlySet<Value>;
}

export const noEpilogues = (buffers: ReadonlySet<Value>): Epilogues => ({ epilogues: new Map(), buffers });

/**
 * Lets contractions store, instead of their sums, what is made of them: with a bias, activated, added to a residual.
 * Where that would be computed by the one kernel that reads it, and stored nowhere, it stays there.
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
    const stored = hasEpilogue ? whatBecomesOf(contraction, users, chosen) : undefined;
    if (stored === undefined || epilogues.has(stored)) continue;
    const map = mapOf(stored, contraction, buffers, mostLoads - contraction.inputs.length);
    if (map === undefined) continue;
    buffers.delete(contraction);
    buffers.add(stored);
    epilogues.set(stored, { contraction, map });
  }
  return { epilogues, buffers };
}

/** For every value, by its number, the distinct values that use it. */
function findUsers({ values }: Program): readonly (readonly Value[])[] {
  const users = values.map((): Value[] => []);
  for (const value of values)
    value.inputs.forEach((input, i) => {
      if (value.inputs.indexOf(input) === i) users[input.id]?.push(value);
    });
  return users;
}

/**
 * The last value through which everything goes that maps make of a contraction's elements, if it is stored, or used more
 * than once.
 */
function whatBecomesOf(
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

/** The map that makes a value from a contraction's elements, each at its own place, if it is one that contractions can do. */
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

import { sameShape } from '../shape.ts';
import { elementCost } from './cost.ts';
import { orderedUnion } from './orderedUnion.ts';
import { isContraction, isReduction, isSource, isStep, isView, joinsMany } from './primitiveKinds.ts';
import type { Program, Value } from './program.ts';
import { operandViewsOf } from './stridedViews.ts';

/** An expression above this is stored when it is used twice or repeated by a broadcast, rather than computed again. */
const cheap = 8;
/** An expression above this is stored in any case, to bound the size of kernels. */
const large = 400;

/** How many different values use each, by its number. */
function countUsers({ values }: Program): Int32Array {
  const counts = new Int32Array(values.length);
  for (const { inputs } of values)
    for (let i = 0; i < inputs.length; i++) {
      const { id } = inputs[i] as Value;
      if (inputs.indexOf(inputs[i] as Value) === i) counts[id] = (counts[id] as number) + 1;
    }
  return counts;
}

/**
 * Which values get a buffer: leaves, outputs, results of reductions and steps, what a step needs to find in memory, and
 * what would cost too much to compute more than once. Everything else dissolves into the kernels that use it. With
 * `widening`, contractions read halves where they are, rather than a copy in f32.
 */
export function chooseBuffers(program: Program, mostLoads: number, widening = false): Set<Value> {
  const users = countUsers(program);
  const buffers = new Set<Value>(program.outputs);
  const hasBuffer = (value: Value): boolean => buffers.has(value);
  const cost = new Float64Array(program.values.length);
  const costOf = (value: Value): number => (hasBuffer(value) ? 1 : (cost[value.id] as number));
  const loads = new Array<readonly Value[]>(program.values.length);
  /** What values with these inputs load, themselves not being stored. */
  const loadsOf = orderedUnion(program.values, (input) =>
    hasBuffer(input) ? [input] : (loads[input.id] as readonly Value[]),
  );
  /** Gives a buffer to what a view shows, or to the view itself where it joins several. */
  const store = (value: Value): void => {
    if (hasBuffer(value) || isSource(value)) return;
    const single = isView(value) && value.primitive !== 'concat' && value.primitive !== 'pad';
    if (single) store(value.inputs[0] as Value);
    else buffers.add(value);
  };

  for (const value of program.values) {
    const { primitive, inputs } = value;
    if (primitive === 'leaf' || isStep(value) || isReduction(value) || joinsMany(value)) buffers.add(value);
    if (isStep(value) && !isContraction(value)) {
      for (const input of inputs) buffers.add(input);
    } else if (primitive === 'gather') {
      buffers.add(inputs[0] as Value);
    } else if (
      primitive === 'broadcastTo' &&
      costOf(inputs[0] as Value) > cheap &&
      !sameShape(value.shape, (inputs[0] as Value).shape)
    ) {
      store(inputs[0] as Value);
    }
    const needed = primitive === 'barrier' ? inputs.slice(0, 1) : inputs;
    let together = loadsOf(needed);
    if (together.length > mostLoads && !joinsMany(value)) {
      for (const input of needed) if (loadsOf([input]).length > 1) store(input);
      together = loadsOf(needed);
    }
    loads[value.id] = together;
    cost[value.id] = elementCost(value) + needed.reduce((sum, input) => sum + costOf(input), 0);
    const isShared = (users[value.id] as number) > 1;
    if (costOf(value) > large || (costOf(value) > cheap && isShared)) store(value);
  }
  // What is stored for one contraction may be a copy of halves that another one would read as they are.
  for (let count = -1; count !== buffers.size; ) {
    count = buffers.size;
    for (const value of program.values)
      for (const { from } of operandViewsOf(value, hasBuffer, widening)) buffers.add(from);
  }
  return buffers;
}

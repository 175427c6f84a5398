import { sameShape } from '../shape.ts';
import { elementCost } from './cost.ts';
import { orderedUnion } from './orderedUnion.ts';
import { isContraction, isReduction, isSource, isStep, isView, joinsMany } from './primitiveKinds.ts';
import type { Program, Value } from './program.ts';
import { operandViewsOf } from './stridedViews.ts';

/** An expression that costs more is stored, rather than computed again, if it has two users or a broadcast repeats it. */
const cheap = 8;
/** An expression that costs more is always stored, to bound the size of kernels. */
const large = 400;

/** By the number of a value: how many distinct values use it. */
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
 * Chooses the values that get a buffer: leaves, outputs, results of reductions and steps, operands that a step reads from
 * memory, and values that are too expensive to compute more than once. All others are computed inside the kernels that use
 * them. `mostLoads` is the number of buffers that one kernel may load. With `widening`, f32 contractions read f16 and bf16
 * operands directly instead of an f32 copy.
 */
export function chooseBuffers(program: Program, mostLoads: number, widening = false): Set<Value> {
  const users = countUsers(program);
  const buffers = new Set<Value>(program.outputs);
  const hasBuffer = (value: Value): boolean => buffers.has(value);
  const cost = new Float64Array(program.values.length);
  const costOf = (value: Value): number => (hasBuffer(value) ? 1 : (cost[value.id] as number));
  const loads = new Array<readonly Value[]>(program.values.length);
  /** The buffers that a value with these inputs loads if it is not stored itself. */
  const loadsOf = orderedUnion(program.values, (input) =>
    hasBuffer(input) ? [input] : (loads[input.id] as readonly Value[]),
  );
  /** Gives a buffer to the value behind a view, or to the view itself if it has several parts. */
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
  // A value that is stored for one contraction may be an f32 copy that another one would not have needed, so repeat.
  for (let count = -1; count !== buffers.size; ) {
    count = buffers.size;
    for (const value of program.values)
      for (const { from } of operandViewsOf(value, hasBuffer, widening)) buffers.add(from);
  }
  return buffers;
}

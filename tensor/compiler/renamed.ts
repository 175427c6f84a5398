import type { LoopKernel, Scalar } from './kernel.ts';
import type { Value } from './program.ts';
import { rewriteScalar } from './scalars.ts';

/**
 * A kernel that is like another one but for the values that it is about: those called `names` there are, in the same
 * order, those called `own` here.
 */
export function kernelLike(
  pattern: LoopKernel,
  names: ReadonlyMap<Value, number>,
  own: ReadonlyMap<Value, number>,
): LoopKernel {
  const values = [...own.keys()];
  const slots = new Map<number, number>();
  for (const [value, place] of names) {
    if (value.primitive === 'constant') slots.set(value.slot, (values[place] as Value).slot);
  }
  const valueOf = (value: Value): Value => values[names.get(value) as number] as Value;
  const slotOf = (slot: number): number => slots.get(slot) as number;
  const known = new Map<Scalar, Scalar>();
  const rename = (scalar: Scalar): Scalar => {
    switch (scalar.kind) {
      case 'load':
        return { ...scalar, from: valueOf(scalar.from) };
      case 'lookup':
        return { ...scalar, from: valueOf(scalar.from), gather: valueOf(scalar.gather) };
      case 'argument':
        return { ...scalar, slot: slotOf(scalar.slot) };
      default:
        return scalar;
    }
  };
  const stages = pattern.stages.map((stage) => ({
    ...stage,
    value: valueOf(stage.value),
    scalar: rewriteScalar(stage.scalar, rename, known),
  }));
  return { ...pattern, stages, like: { pattern, valueOf, slotOf } };
}

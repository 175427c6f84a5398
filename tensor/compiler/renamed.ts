import type { LoopKernel, Scalar, Stage } from './kernel.ts';
import type { Value } from './program.ts';
import { rewriteScalar } from './scalars.ts';

/**
 * A kernel that is like another one but for the values that it is about: those called `names` there are, in the same
 * order, those called `own` here. Most such kernels are asked only what stands in them for the values of the pattern, so
 * stages of their own are made when somebody wants them.
 */
export function kernelLike(
  pattern: LoopKernel,
  names: ReadonlyMap<Value, number>,
  own: ReadonlyMap<Value, number>,
): LoopKernel {
  const values = [...own.keys()];
  const valueOf = (value: Value): Value => values[names.get(value) as number] as Value;
  let slots: ReadonlyMap<number, number> | undefined;
  const slotOf = (slot: number): number => {
    slots ??= new Map(
      [...names].flatMap(([value, place]) =>
        value.primitive === 'constant' ? [[value.slot, (values[place] as Value).slot] as const] : [],
      ),
    );
    return slots.get(slot) as number;
  };
  let originals: readonly Value[] | undefined;
  const originalOf = (value: Value): Value | undefined => {
    originals ??= [...names.keys()];
    return originals[own.get(value) ?? -1];
  };
  let stages: readonly Stage[] | undefined;
  return {
    kind: 'loops',
    outer: pattern.outer,
    inner: pattern.inner,
    get stages() {
      stages ??= renamedStages(pattern, valueOf, slotOf);
      return stages;
    },
    like: { pattern, valueOf, slotOf, originalOf },
  };
}

function renamedStages(
  pattern: LoopKernel,
  valueOf: (value: Value) => Value,
  slotOf: (slot: number) => number,
): readonly Stage[] {
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
  return pattern.stages.map((stage) => ({
    ...stage,
    value: valueOf(stage.value),
    scalar: rewriteScalar(stage.scalar, rename, known),
  }));
}

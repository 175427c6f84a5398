import type { LoopKernel, Scalar, Stage } from './kernel.ts';
import type { Value } from './program.ts';
import { rewriteScalar } from './scalars.ts';

/**
 * Makes kernels that are like `pattern` but for the values that they are about: those called `names` there are `own` in
 * such a kernel, in the same order. Most are asked only what stands in them for the values of the pattern, so stages of
 * their own are made when somebody wants them.
 */
export function kernelsLike(pattern: LoopKernel, names: readonly Value[]): (own: readonly Value[]) => LoopKernel {
  const places = new Map(names.map((value, place) => [value, place]));
  const constants = new Map(names.flatMap((value) => (value.primitive === 'constant' ? [[value.slot, value]] : [])));
  return (own) => {
    const valueOf = (value: Value): Value => own[places.get(value) as number] as Value;
    const slotOf = (slot: number): number => valueOf(constants.get(slot) as Value).slot;
    let stages: readonly Stage[] | undefined;
    return {
      kind: 'loops',
      outer: pattern.outer,
      inner: pattern.inner,
      get stages() {
        stages ??= renamedStages(pattern, valueOf, slotOf);
        return stages;
      },
      like: { pattern, valueOf, slotOf, originalOf: (value) => names[own.indexOf(value)] },
    };
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

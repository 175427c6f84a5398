import type { LoopKernel, Scalar, Stage } from './kernel.ts';
import type { Value } from './program.ts';
import { rewriteScalar } from './scalars.ts';

/**
 * Returns a function that applies the kernel `pattern` to other values: `values[i]` of the pattern becomes the i-th of the
 * given ones. Its stages are built only on access: executors that have code for the pattern need just the mapping of values.
 */
export function kernelInstances(
  pattern: LoopKernel,
  values: readonly Value[],
): (instanceValues: readonly Value[]) => LoopKernel {
  const places = new Map(values.map((value, place) => [value, place]));
  const constants = new Map(values.flatMap((value) => (value.primitive === 'constant' ? [[value.slot, value]] : [])));
  return (instanceValues) => {
    const valueOf = (value: Value): Value => instanceValues[places.get(value) as number] as Value;
    const slotOf = (slot: number): number => valueOf(constants.get(slot) as Value).slot;
    let stages: readonly Stage[] | undefined;
    return {
      kind: 'loops',
      outer: pattern.outer,
      inner: pattern.inner,
      get stages() {
        stages ??= stagesOf(pattern, valueOf, slotOf);
        return stages;
      },
      instance: { pattern, valueOf, slotOf, originalOf: (value) => values[instanceValues.indexOf(value)] },
    };
  };
}

/** The stages of a pattern, with its values and constants replaced. */
function stagesOf(
  pattern: LoopKernel,
  valueOf: (value: Value) => Value,
  slotOf: (slot: number) => number,
): readonly Stage[] {
  const known = new Map<Scalar, Scalar>();
  const replace = (scalar: Scalar): Scalar => {
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
    scalar: rewriteScalar(stage.scalar, replace, known),
  }));
}

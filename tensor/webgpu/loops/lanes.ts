import type { Condition, Scalar, Stage } from '../../compiler/kernel.ts';
import type { Position, Variable } from '../../compiler/position.ts';
import type { Value } from '../../compiler/program.ts';
import { allParts, partsOf, positionsOf } from '../../compiler/scalars.ts';
import { sizeOf } from '../../shape.ts';
import type { Shader } from '../wgsl/shader.ts';

/** Counts of lanes, the best first, and how many scalars, each of which is computed in every lane, are not too much code. */
const choices = [
  { count: 8, scalars: 8 },
  { count: 4, scalars: 64 },
  { count: 2, scalars: 64 },
] as const;
type Count = (typeof choices)[number]['count'] | 1;

/** How a position goes on from lane to lane, and whether that of the first lane is a multiple of their number. */
interface Course {
  readonly step: number;
  readonly aligned: boolean;
}

/**
 * Neighbours along the innermost loop that one invocation does together, or 1 where that would not help: what they have in
 * common is computed once, and what lies side by side in memory is read and written in vectors.
 */
export class Lanes {
  readonly count: Count;
  readonly loop: Variable | undefined;
  readonly #isAlong: (stage: number) => boolean;
  readonly #same = new Map<Scalar, boolean>();

  private constructor(count: Count, loop: Variable | undefined, isAlong: (stage: number) => boolean) {
    this.count = count;
    this.loop = loop;
    this.#isAlong = isAlong;
  }

  /**
   * At most so many lanes for stages along a loop; `isAlong` tells which these are. Marks in the shader the places that are
   * read and written in vectors: all that have a vector in them, but for those where single elements are stored.
   */
  static choose(
    shader: Shader,
    stages: readonly Stage[],
    loop: Variable | undefined,
    { most = 4, isAlong = () => true }: { readonly most?: Count; readonly isAlong?: (stage: number) => boolean } = {},
  ): Lanes {
    const scalars = [...new Set(stages.flatMap(({ scalar }) => [...allParts(scalar)]))];
    const stores = stages.flatMap(({ store, value }, stage) => (store === undefined ? [] : [{ stage, value, store }]));
    const storesAlong = stores.filter(({ stage }) => isAlong(stage));
    const storesBeside = stores.filter(({ stage }) => !isAlong(stage));
    // The store of a half that shares its word with another takes two atomic operations.
    const hasHalves = storesAlong.some(({ value }) => shader.shareWords(value.dtype));
    for (const choice of choices) {
      const { count } = choice;
      if (loop === undefined || loop.size === 0 || loop.size % count !== 0 || count > most) continue;
      const lanes = new Lanes(count, loop, isAlong);
      const isTooMuch = scalars.filter((scalar) => !lanes.isSame(scalar)).length > choice.scalars;
      if (isTooMuch && !(count === 2 && hasHalves)) continue;
      const fits = (value: Value, position: Position): boolean =>
        sizeOf(value.shape) % count === 0 && lanes.isVector(position);
      const loaded = scalars.flatMap((scalar) =>
        scalar.kind === 'load' && fits(scalar.from, scalar.position) ? [scalar.from] : [],
      );
      const stored = storesAlong.filter(({ value, store }) => fits(value, store));
      if ((storesAlong.length === 0 ? loaded : stored).length === 0) continue;
      const singly = [...storesBeside, ...storesAlong.filter((one) => !stored.includes(one))];
      const valuesOf = (list: typeof stores): Value[] => list.map(({ value }) => value);
      shader.useVectors(count === 2 ? 2 : 4, [...loaded, ...valuesOf(stored)], valuesOf(singly));
      return lanes;
    }
    return new Lanes(1, loop, isAlong);
  }

  /** `undefined` where a position does not go on in equal steps. */
  #course({ constant, terms }: Position): Course | undefined {
    let step = 0;
    let aligned = constant % this.count === 0;
    for (const { atom, factor } of terms) {
      let course: Course = { step: 0, aligned: false };
      if (atom === this.loop) course = { step: 1, aligned: true };
      if (atom.kind !== 'variable') {
        const of = this.#course(atom.of);
        if (of === undefined) return undefined;
        // Lanes that begin at a multiple of their number do not cross one of `by`.
        const within = of.step === 1 && of.aligned && atom.by % this.count === 0;
        if (of.step !== 0 && !within) return undefined;
        if (within && atom.kind === 'remainder') course = of;
      }
      step += factor * course.step;
      aligned &&= course.aligned || factor % this.count === 0;
    }
    return { step, aligned };
  }

  /** Whether what lies at a position in the lanes is a vector in memory. */
  isVector(position: Position): boolean {
    const course = this.#course(position);
    return this.count > 1 && course?.step === 1 && course.aligned;
  }

  /** Whether a scalar is the same in all lanes. */
  isSame(scalar: Scalar): boolean {
    const known = this.#same.get(scalar);
    if (known !== undefined) return known;
    const same =
      this.count === 1 ||
      (!(scalar.kind === 'stage' && this.#isAlong(scalar.stage)) &&
        (scalar.kind === 'masked'
          ? this.sameConditions(scalar.conditions)
          : positionsOf(scalar).every((position) => this.#course(position)?.step === 0)) &&
        partsOf(scalar).every((part) => this.isSame(part)));
    this.#same.set(scalar, same);
    return same;
  }

  /** Whether conditions hold in all lanes or in none. */
  sameConditions(conditions: readonly Condition[]): boolean {
    return conditions.every((condition) => {
      const course = this.#course(condition.position);
      if (course?.step === 0) return true;
      if (condition.kind === 'multiple' || course?.step !== 1 || !course.aligned) return false;
      const { low, high } = condition;
      return (!Number.isFinite(low) || low % this.count === 0) && (high + 1) % this.count === 0;
    });
  }
}

import type { Scalar } from '../../compiler/kernel.ts';
import type { Position } from '../../compiler/position.ts';
import type { Value } from '../../compiler/program.ts';
import { partsOf } from '../../compiler/scalars.ts';
import type { Lanes } from './lanes.ts';
import { Computed, computeScalar, type KernelContext, maskedCode, movablePosition } from './scalarCode.ts';

interface Lane {
  readonly context: KernelContext;
  readonly computed: Computed;
}

/** The code of one step of an innermost loop, in every lane. */
export class LaneCode {
  readonly #lanes: Lanes;
  readonly #all: readonly Lane[];

  private constructor(lanes: Lanes, all: readonly Lane[]) {
    this.#lanes = lanes;
    this.#all = all;
  }

  /**
   * The lanes where the first is at the loops of `context`, over what is `known` already; `made` collects the names of what
   * stages along the loop make. `start` is code that comes first.
   */
  static at(
    lanes: Lanes,
    context: KernelContext,
    made: ReadonlyMap<number, readonly string[]>,
    known?: Computed,
  ): { readonly start: string; readonly code: LaneCode } {
    const { loop } = lanes;
    const first = loop && context.loops.get(loop);
    const others = Array.from({ length: lanes.count - 1 }, () => context.shader.name());
    const start = others.map((name, i) => `let ${name} = ${first} + ${i + 1};\n`).join('');
    const all = [first, ...others].map(
      (name, lane): Lane => ({
        context: {
          ...context,
          loops: loop && name ? new Map(context.loops).set(loop, name) : context.loops,
          stage: (stage) => made.get(stage)?.[lane] ?? context.stage(stage),
        },
        computed: new Computed(known),
      }),
    );
    return { start, code: new LaneCode(lanes, all) };
  }

  /** The names of a scalar that was computed, lane by lane. */
  names(scalar: Scalar): readonly string[] {
    return this.#all.map(({ computed }) => computed.get(scalar) as string);
  }

  /** Code that gives a scalar a name in each lane. */
  compute(scalar: Scalar): string {
    const [first] = this.#all;
    if (first === undefined || first.computed.get(scalar) !== undefined) return '';
    const lanes = this.#lanes;
    const { context } = first;
    const { shader } = context;
    if (lanes.isSame(scalar)) {
      const once = new Computed(first.computed);
      const code = computeScalar(context, scalar, once);
      for (const { computed } of this.#all) computed.adopt(once);
      return code;
    }
    if (scalar.kind === 'masked') {
      if (!lanes.sameConditions(scalar.conditions)) return this.#apart(scalar);
      const names = this.#all.map(() => shader.name());
      const code = maskedCode(context, scalar, names, (part) => {
        const branch = this.#branch();
        return { code: branch.compute(part), results: branch.names(part) };
      });
      this.#name(scalar, names);
      return code;
    }
    const before = partsOf(scalar).map((part) => this.compute(part));
    const width = scalar.kind === 'load' ? shader.vectorOf(scalar.from) : undefined;
    if (scalar.kind !== 'load' || width === undefined || !lanes.isVector(scalar.position))
      return before.join('') + this.#apart(scalar);
    const lines: string[] = [];
    let vector = '';
    this.#all.forEach(({ context, computed }, lane) => {
      if (lane % width === 0) {
        vector = shader.name();
        const position = movablePosition(context, scalar.position);
        lines.push(`let ${vector} = ${shader.loadVector(scalar.from, position)};\n`);
      }
      const name = shader.name();
      lines.push(`let ${name} = ${shader.elementOf(scalar.from, vector, lane % width)};\n`);
      computed.set(scalar, name);
    });
    return lines.join('');
  }

  /** Code that stores an element from each lane. */
  store(value: Value, position: Position, names: readonly string[]): string {
    const stores = this.#all.flatMap(({ context }, lane) => {
      const { shader } = context;
      const place = movablePosition(context, position);
      const width = shader.vectorOf(value);
      if (width === undefined) return [shader.store(value, place, names[lane] as string)];
      return lane % width === 0 ? [shader.storeVector(value, place, names.slice(lane, lane + width))] : [];
    });
    return `${stores.join('\n')}\n`;
  }

  #apart(scalar: Scalar): string {
    return this.#all.map(({ context, computed }) => computeScalar(context, scalar, computed)).join('');
  }

  #branch(): LaneCode {
    return new LaneCode(
      this.#lanes,
      this.#all.map(({ context, computed }) => ({ context, computed: new Computed(computed) })),
    );
  }

  #name(scalar: Scalar, names: readonly string[]): void {
    this.#all.forEach(({ computed }, lane) => {
      computed.set(scalar, names[lane] as string);
    });
  }
}

import type { Scalar } from '../compiler/kernel.ts';

/** The scalars that a scope has computed, with the code that refers to each. A scope also sees those of the scope around it. */
export class ComputedScalars<Code> {
  readonly #own = new Map<Scalar, Code>();
  readonly #outer: ComputedScalars<Code> | undefined;

  constructor(outer?: ComputedScalars<Code>) {
    this.#outer = outer;
  }

  get(scalar: Scalar): Code | undefined {
    return this.#own.get(scalar) ?? this.#outer?.get(scalar);
  }

  set(scalar: Scalar, code: Code): void {
    this.#own.set(scalar, code);
  }

  /** Adds the scalars of a scope whose code runs inside this one. */
  adopt(inner: ComputedScalars<Code>): void {
    for (const [scalar, code] of inner.#own) this.#own.set(scalar, code);
  }
}

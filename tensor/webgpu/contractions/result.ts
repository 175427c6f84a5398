import type { LoopKernel } from '../../compiler/kernel.ts';
import type { Value } from '../../compiler/program.ts';
import { loadsOf } from '../../compiler/scalars.ts';
import { decode, nameLoops } from '../loops/loops.ts';
import { Computed, computeScalar } from '../loops/scalarCode.ts';
import { type Place, Shader, type ShaderTraits, typeOf } from '../wgsl/shader.ts';

export interface ContractionOptions {
  /** Whether the adapter is a CPU. */
  readonly software: boolean;
  readonly traits: ShaderTraits;
  /** What is stored instead of the contraction's elements. */
  readonly epilogue?: LoopKernel | undefined;
  /** Leaves that the kernel overwrites, and what is written there. */
  readonly inPlace?: ReadonlyMap<Place, Place> | undefined;
}

/** The shader of a contraction, which stores its results: as they are, or as what the epilogue makes of them. */
export class ContractionShader extends Shader {
  readonly #stored: Value;
  /** What the epilogue makes of an element, as code; without one, elements stay as they are. */
  readonly #finished: ((place: string, element: string) => string) | undefined;
  /** How many neighbours are stored at once: as a vector, or as the halves of a word, which then needs no atomics. */
  readonly together: 1 | 2 | 4;

  /**
   * `steps` are the numbers of which the place of a result is made, with multiples: results that lie together are stored
   * together where all are multiples of their number. Without steps, each is stored by itself.
   */
  constructor(made: Value, { traits, epilogue, inPlace }: ContractionOptions, steps: readonly number[] = [1]) {
    super(traits, inPlace);
    this.#stored = epilogue?.stages[0]?.value ?? made;
    const divides = (count: number): boolean => steps.every((step) => step % count === 0);
    const vector = divides(4) ? 4 : divides(2) ? 2 : undefined;
    this.together = vector ?? 1;
    if (vector !== undefined) this.useVectors(vector, [this.#stored], []);
    this.prepareStore(this.#stored);
    this.#finished = epilogue && this.#declareFinish(made, epilogue);
  }

  /** Declares the epilogue as a function of where an element is stored and what the contraction made there. */
  #declareFinish(made: Value, { inner, stages }: LoopKernel): (place: string, element: string) => string {
    const unexpected = (): never => {
      throw new Error('webgpu: an epilogue has one stage and looks nothing up');
    };
    const [stage] = stages;
    if (stage === undefined) return unexpected();
    const context = {
      shader: this,
      loops: nameLoops(this, inner),
      stage: unexpected,
      reportNumber: unexpected,
    };
    const computed = new Computed();
    for (const load of loadsOf(stage.scalar)) if (load.from === made) computed.set(load, 'made');
    const code = computeScalar(context, stage.scalar, computed);
    this.declare(
      `fn finish(place: i32, made: ${typeOf(made.dtype)}) -> ${typeOf(this.#stored.dtype)} {\n${decode('u32(place)', inner, context)}${code}return ${computed.get(stage.scalar)};\n}`,
    );
    return (place, element) => `finish(${place}, ${element})`;
  }

  /** Code that stores results from a place, an i32, on: as many as are stored together. */
  storeResult(place: string, ...elements: readonly string[]): string {
    const results = elements.map(
      (element, i) => this.#finished?.(i === 0 ? place : `${place} + ${i}`, element) ?? element,
    );
    const [single, ...more] = results as [string, ...string[]];
    return more.length > 0 ? this.storeVector(this.#stored, place, results) : this.store(this.#stored, place, single);
  }
}

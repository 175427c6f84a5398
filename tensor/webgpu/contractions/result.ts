import type { LoopKernel } from '../../compiler/kernel.ts';
import type { Value } from '../../compiler/program.ts';
import { loadsOf } from '../../compiler/scalars.ts';
import { decode, nameLoops } from '../wgsl/loops.ts';
import { Computed, computeScalar } from '../wgsl/scalarCode.ts';
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
  /** Whether results may be stored as vectors: not where what is overwritten is read as single elements. */
  readonly storesVectors: boolean;

  constructor(made: Value, { traits, epilogue, inPlace }: ContractionOptions) {
    super(traits, inPlace);
    this.#stored = epilogue?.stages[0]?.value ?? made;
    this.storesVectors = inPlace === undefined;
    this.#finished = epilogue && this.#declareFinish(made, epilogue);
  }

  /** Declares the epilogue as a function of where an element is stored and what the contraction made there. */
  #declareFinish(made: Value, { inner, stages }: LoopKernel): (place: string, element: string) => string {
    const type = typeOf(made.dtype);
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
      `fn finish(place: i32, made: ${type}) -> ${type} {\n${decode('u32(place)', inner, context)}${code}return ${computed.get(stage.scalar)};\n}`,
    );
    return (place, element) => `finish(${place}, ${element})`;
  }

  /** Code that stores the result at a place, an i32. */
  storeResult(place: string, element: string): string {
    return this.store(this.#stored, place, this.#finished?.(place, element) ?? element);
  }

  /** Code that stores four results from a place on that begins a vector. */
  storeResults(place: string, elements: string): string {
    const four = `vec4<${typeOf(this.#stored.dtype)}>`;
    const lanes = [...'xyzw'].map((lane, i) => this.#finished?.(`${place} + ${i}`, `${elements}.${lane}`));
    const vector = this.#finished === undefined ? elements : `${four}(${lanes.join(', ')})`;
    return this.buffer(this.#stored, 'write', four).write(`(${place}) >> 2u`, vector);
  }
}

import type { Tensor } from '../../../tensor/index.ts';
import type { Params } from '../params.ts';

/**
 * How a case of an operator is computed: from its inputs and parameters, with everything that it understands read
 * through them. What stays unread fails the case.
 */
export type Adapter = (inputs: Inputs, params: Params) => Tensor | readonly Tensor[];

/** Adapters by the name that the data gives the operator. */
export type Adapters = Readonly<Record<string, Adapter>>;

/** The inputs of a case by name, in the order of the data. It remembers which were read. */
export class Inputs {
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #read = new Set<string>();

  constructor(tensors: ReadonlyMap<string, Tensor>) {
    this.#tensors = tensors;
  }

  /** Names that nobody has asked for. */
  unread(): string[] {
    return [...this.#tensors.keys()].filter((name) => !this.#read.has(name));
  }

  /** The input that goes by one of these names. */
  get(...names: [string, ...string[]]): Tensor {
    const tensor = names.map((name) => this.optional(name)).find((found) => found !== undefined);
    if (tensor === undefined) throw new Error(`the input '${names[0]}' is missing`);
    return tensor;
  }

  optional(name: string): Tensor | undefined {
    this.#read.add(name);
    return this.#tensors.get(name);
  }

  all(): Tensor[] {
    for (const name of this.#tensors.keys()) this.#read.add(name);
    return [...this.#tensors.values()];
  }
}

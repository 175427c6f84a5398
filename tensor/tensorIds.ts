import type { Tensor } from './tensor.ts';

/** Ids of tensors that are made one after the other are close together; further apart, tables by id would be too large. */
const mostSpread = 8;

/** Different tensors, those made first before the others. */
export function inOrderOfCreation(tensors: readonly Tensor[]): readonly Tensor[] {
  let [first, last] = [Number.POSITIVE_INFINITY, -1];
  for (const { id } of tensors) {
    if (id < first) first = id;
    if (id > last) last = id;
  }
  if (last - first >= mostSpread * tensors.length) return tensors.toSorted((a, b) => a.id - b.id);
  const places = new Array<Tensor | undefined>(Math.max(0, last - first + 1)).fill(undefined);
  for (const tensor of tensors) places[tensor.id - first] = tensor;
  return places.filter((tensor) => tensor !== undefined);
}

/** No number of a tensor. */
const nothing = -(2 ** 31);

/** Whole numbers by tensor: a table for tensors that were made from a first to a last one, and a map for all others. */
export class NumbersByTensor {
  readonly #first: number;
  readonly #table: Int32Array;
  readonly #others = new Map<Tensor, number>();

  /** `tensors` in the order of their creation. */
  constructor(tensors: readonly Tensor[]) {
    this.#first = tensors[0]?.id ?? 0;
    const spread = (tensors.at(-1)?.id ?? -1) - this.#first + 1;
    this.#table = new Int32Array(Math.min(spread, mostSpread * tensors.length)).fill(nothing);
  }

  get(tensor: Tensor): number | undefined {
    const known = this.#table[tensor.id - this.#first];
    if (known === undefined) return this.#others.get(tensor);
    return known === nothing ? undefined : known;
  }

  set(tensor: Tensor, value: number): void {
    const place = tensor.id - this.#first;
    if (place >= 0 && place < this.#table.length) this.#table[place] = value;
    else this.#others.set(tensor, value);
  }
}

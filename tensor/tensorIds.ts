import type { Tensor } from './tensor.ts';

/** Tables by tensor id are used up to this many entries for each tensor; ids of tensors made in sequence are close together. */
const maxSpread = 8;

/** Sorts distinct tensors by creation, oldest first. */
export function inOrderOfCreation(tensors: readonly Tensor[]): readonly Tensor[] {
  let [first, last] = [Number.POSITIVE_INFINITY, -1];
  for (const { id } of tensors) {
    if (id < first) first = id;
    if (id > last) last = id;
  }
  if (last - first >= maxSpread * tensors.length) return tensors.toSorted((a, b) => a.id - b.id);
  const places = new Array<Tensor | undefined>(Math.max(0, last - first + 1)).fill(undefined);
  for (const tensor of tensors) places[tensor.id - first] = tensor;
  return places.filter((tensor) => tensor !== undefined);
}

/** Marks empty entries of a table. */
const empty = -(2 ** 31);

/** A map from tensors to 32-bit integers: a table for tensors created within a range, and a `Map` for all others. */
export class NumbersByTensor {
  readonly #first: number;
  readonly #table: Int32Array;
  readonly #others = new Map<Tensor, number>();

  /** The table covers the range from the first to the last of `tensors`, which are sorted by creation. */
  constructor(tensors: readonly Tensor[]) {
    this.#first = tensors[0]?.id ?? 0;
    const spread = (tensors.at(-1)?.id ?? -1) - this.#first + 1;
    this.#table = new Int32Array(Math.min(spread, maxSpread * tensors.length)).fill(empty);
  }

  get(tensor: Tensor): number | undefined {
    const known = this.#table[tensor.id - this.#first];
    if (known === undefined) return this.#others.get(tensor);
    return known === empty ? undefined : known;
  }

  set(tensor: Tensor, value: number): void {
    const place = tensor.id - this.#first;
    if (place >= 0 && place < this.#table.length) this.#table[place] = value;
    else this.#others.set(tensor, value);
  }
}

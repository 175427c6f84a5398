/** A piece of bare code, without a framework, whose rate bounds that of an item. */
export interface Limit {
  readonly name: string;
  /** The FLOP or bytes of one call. */
  readonly work: number;
  readonly run: () => unknown;
}

/** `block` bounds contractions, `copy` and `sum` bound items that memory bounds. */
export type LimitKind = 'block' | 'copy' | 'sum';
export type Limits = Readonly<Record<LimitKind, Limit>>;

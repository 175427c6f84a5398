/** One thing that code without a framework around it does, as fast as the machine lets it. */
export interface Limit {
  readonly name: string;
  /** FLOP or bytes of one call. */
  readonly work: number;
  readonly run: () => unknown;
}

export type LimitKind = 'block' | 'copy' | 'sum';
export type Limits = Readonly<Record<LimitKind, Limit>>;

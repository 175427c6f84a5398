/** A plain JSON object. */
export type JsonObject = { readonly [key: string]: unknown };

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isInteger = (value: unknown): value is number => Number.isInteger(value);
const isIntegers = (value: unknown): value is number[] => Array.isArray(value) && value.every(isInteger);

/**
 * The parameters of a case, read by name. It remembers which were read, so that one that nobody understands can be
 * reported instead of overlooked. Every reader throws when the value is of another kind than it asks for; with a
 * fallback, a missing value and `null` stand for the fallback.
 */
export class Params {
  readonly #values: JsonObject;
  readonly #read = new Set<string>(['note', 'seed']);

  constructor(values: JsonObject) {
    this.#values = values;
  }

  /** Names that no reader has asked for. Notes and seeds say nothing that could be checked. */
  unread(): string[] {
    return Object.keys(this.#values).filter((name) => !this.#read.has(name));
  }

  /** The first of these names that the case has, or the first of all. */
  either(...names: [string, ...string[]]): string {
    return names.find((name) => Object.hasOwn(this.#values, name)) ?? names[0];
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#values, name);
  }

  isNumber(name: string): boolean {
    return typeof this.#values[name] === 'number';
  }

  isText(name: string): boolean {
    return typeof this.#values[name] === 'string';
  }

  number(name: string, fallback?: number): number {
    return this.#get(name, 'a number', (value) => typeof value === 'number', fallback);
  }

  integer(name: string, fallback?: number): number {
    return this.#get(name, 'an integer', isInteger, fallback);
  }

  integers(name: string, fallback?: readonly number[]): readonly number[] {
    return this.#get<readonly number[]>(name, 'a list of integers', isIntegers, fallback);
  }

  boolean(name: string, fallback?: boolean): boolean {
    return this.#get(name, 'true or false', (value) => typeof value === 'boolean', fallback);
  }

  text(name: string, fallback?: string): string {
    return this.#get(name, 'a text', (value) => typeof value === 'string', fallback);
  }

  /** One number for both axes, or one for each. */
  pair(name: string, fallback?: number | [number, number]): [number, number] {
    const value = this.#get<number | number[]>(
      name,
      'an integer or two',
      (v): v is number | number[] => isInteger(v) || (isIntegers(v) && v.length === 2),
      fallback,
    );
    return typeof value === 'number' ? [value, value] : (value as [number, number]);
  }

  /** Two numbers for the two axes, given as one or two. */
  numberPair(name: string): [number, number] {
    if (this.isNumber(name)) return [this.number(name), this.number(name)];
    const isPair = (value: unknown): value is [number, number] =>
      Array.isArray(value) && value.length === 2 && value.every((v) => typeof v === 'number');
    return this.#get(name, 'a number or two', isPair, undefined);
  }

  /** The axes that the case names, in whatever way; `undefined` where it says all of them or nothing. */
  axes(): number[] | undefined {
    const value = this.#get<number | number[] | undefined>(
      this.either('axes', 'axis', 'dim'),
      'an axis, a list of axes or null',
      (v): v is number | number[] => isInteger(v) || isIntegers(v),
      undefined,
      true,
    );
    return typeof value === 'number' ? [value] : value;
  }

  /** The one axis that the case names. */
  axis(fallback?: number): number {
    return this.integer(this.either('axis', 'axes', 'dim'), fallback);
  }

  /** One of a few texts. */
  oneOf<T extends string>(name: string, options: readonly T[], fallback?: T): T {
    const isOption = (value: unknown): value is T => options.some((option) => option === value);
    return this.#get(name, options.map((option) => `'${option}'`).join(' or '), isOption, fallback);
  }

  /** A value that only describes the case. Where it is given it must be one of those that this runner takes as given. */
  states(name: string, ...accepted: readonly [unknown, ...unknown[]]): void {
    this.#read.add(name);
    if (!this.has(name)) return;
    const value = JSON.stringify(this.#values[name]);
    const texts = accepted.map((option) => JSON.stringify(option));
    if (!texts.includes(value))
      throw new Error(`the parameter '${name}' is ${value}, understood is ${texts.join(' or ')}`);
  }

  #get<T>(
    name: string,
    kind: string,
    fits: (value: unknown) => value is T,
    fallback: T | undefined,
    optional = false,
  ): T {
    this.#read.add(name);
    const value = this.#values[name] ?? undefined;
    if (value === undefined && (fallback !== undefined || optional)) return fallback as T;
    if (value === undefined) throw new Error(`the parameter '${name}' is missing; it should be ${kind}`);
    if (!fits(value)) throw new Error(`the parameter '${name}' is ${JSON.stringify(value)}; it should be ${kind}`);
    return value;
  }
}

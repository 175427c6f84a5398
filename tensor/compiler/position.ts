/**
 * A loop variable. Positions are integer expressions over loop variables that give the place of an element: a constant
 * plus a sum of terms, each a factor times an atom. An atom is a loop variable, or a quotient or remainder that could not
 * be simplified away. Movement operators only rewrite positions, so they cost nothing when a kernel runs.
 */
export interface Variable {
  readonly kind: 'variable';
  readonly id: number;
  /** It runs from 0 to size − 1. */
  readonly size: number;
  readonly key: string;
}

/** ⌊of / by⌋, or `of` mod `by`; `of` is never negative. */
export interface Quotient {
  readonly kind: 'quotient' | 'remainder';
  readonly of: Position;
  readonly by: number;
  readonly key: string;
}

export type Atom = Variable | Quotient;

export interface Term {
  readonly atom: Atom;
  readonly factor: number;
}

export interface Position {
  readonly constant: number;
  /** Sorted by the key of their atoms, each atom once, no factor 0. */
  readonly terms: readonly Term[];
}

let variables = 0;

/** A new loop variable. */
export const variable = (size: number): Variable => {
  const id = variables++;
  return { kind: 'variable', id, size, key: `v${id}` };
};

/** A quotient or remainder that cannot be simplified. */
const division = (kind: Quotient['kind'], of: Position, by: number): Quotient => ({
  kind,
  of,
  by,
  key: `${kind === 'quotient' ? 'q' : 'r'}(${keyOf(of)},${by})`,
});

export const fixed = (constant: number): Position => ({ constant, terms: [] });

const ofAtom = (atom: Atom): Position => ({ constant: 0, terms: [{ atom, factor: 1 }] });

/** The position that is a loop variable; for a loop of size 1, the constant 0. */
export const at = (loop: Variable): Position => (loop.size === 1 ? fixed(0) : ofAtom(loop));

/** Equal for equal positions. */
export function keyOf({ constant, terms }: Position): string {
  let key = '';
  for (const { atom, factor } of terms) key += `${factor}${atom.key}+`;
  return key + constant;
}

/** Whether two positions are equal. */
export const samePosition = (a: Position, b: Position): boolean =>
  a === b ||
  (a.constant === b.constant &&
    a.terms.length === b.terms.length &&
    a.terms.every(({ atom, factor }, i) => factor === b.terms[i]?.factor && atom.key === b.terms[i]?.atom.key));

export function add(a: Position, b: Position): Position {
  const constant = a.constant + b.constant;
  if (b.terms.length === 0) return b.constant === 0 ? a : { constant, terms: a.terms };
  if (a.terms.length === 0) return a.constant === 0 ? b : { constant, terms: b.terms };
  const terms: Term[] = [];
  let [i, j] = [0, 0];
  for (let [p, q] = [a.terms[0], b.terms[0]]; p !== undefined || q !== undefined; p = a.terms[i], q = b.terms[j]) {
    if (p !== undefined && q !== undefined && p.atom.key === q.atom.key) {
      const factor = p.factor + q.factor;
      if (factor !== 0) terms.push({ atom: p.atom, factor });
      i++;
      j++;
    } else if (p !== undefined && (q === undefined || p.atom.key < q.atom.key)) {
      terms.push(p);
      i++;
    } else if (q !== undefined) {
      terms.push(q);
      j++;
    }
  }
  return { constant, terms };
}

export const scale = ({ constant, terms }: Position, by: number): Position =>
  by === 0
    ? fixed(0)
    : { constant: constant * by, terms: terms.map(({ atom, factor }) => ({ atom, factor: factor * by })) };

/** The smallest and largest value that a position can take. */
export function rangeOf({ constant, terms }: Position): [number, number] {
  let [low, high] = [constant, constant];
  for (const { atom, factor } of terms) {
    const [from, to] = atomRange(atom);
    low += Math.min(factor * from, factor * to);
    high += Math.max(factor * from, factor * to);
  }
  return [low, high];
}

function atomRange(atom: Atom): [number, number] {
  if (atom.kind === 'variable') return [0, atom.size - 1];
  const [low, high] = rangeOf(atom.of);
  if (atom.kind === 'quotient') return [Math.floor(low / atom.by), Math.floor(high / atom.by)];
  return [0, atom.by - 1];
}

const within = (position: Position, from: number, to: number): boolean => {
  const [low, high] = rangeOf(position);
  return low >= from && high <= to;
};

/** Splits a position into the part whose factors `by` divides, divided by it, and the rest. */
function divisible(position: Position, by: number): { whole: Position; rest: Position } {
  const [fits, left] = [true, false].map((wanted) =>
    position.terms.filter(({ factor }) => (factor % by === 0) === wanted),
  ) as [Term[], Term[]];
  const constant = Math.floor(position.constant / by);
  return {
    whole: { constant, terms: fits.map(({ atom, factor }) => ({ atom, factor: factor / by })) },
    rest: { constant: position.constant - constant * by, terms: left },
  };
}

/** A factor c of `by` for which position = c·whole + rest with rest in [0, c): then ⌊position / by⌋ = ⌊whole / (by/c)⌋. */
function commonUnit(position: Position, by: number): { unit: number; whole: Position; rest: Position } | undefined {
  const units = [...new Set(position.terms.map(({ factor }) => Math.abs(factor)))].sort((a, b) => b - a);
  for (const unit of units) {
    if (unit <= 1 || by % unit !== 0) continue;
    const { whole, rest } = divisible(position, unit);
    if (within(rest, 0, unit - 1)) return { unit, whole, rest };
  }
  return undefined;
}

/** ⌊position / by⌋. */
export function quotient(position: Position, by: number): Position {
  if (by === 1) return position;
  const { whole, rest } = divisible(position, by);
  if (within(rest, 0, by - 1)) return whole;
  const common = commonUnit(rest, by);
  if (common !== undefined) return add(whole, quotient(common.whole, by / common.unit));
  const lift = liftAboveZero(rest, by);
  return add(add(whole, fixed(-lift)), ofAtom(division('quotient', add(rest, fixed(lift * by)), by)));
}

/** How many times `by` must be added to make a position never negative, because executors divide unsigned numbers. */
const liftAboveZero = (position: Position, by: number): number => Math.max(0, Math.ceil(-rangeOf(position)[0] / by));

/** position mod by, in [0, by). */
export function remainder(position: Position, by: number): Position {
  if (by === 1) return fixed(0);
  const { rest } = divisible(position, by);
  if (within(rest, 0, by - 1)) return rest;
  const common = commonUnit(rest, by);
  if (common !== undefined) return add(scale(remainder(common.whole, by / common.unit), common.unit), common.rest);
  return ofAtom(division('remainder', add(rest, fixed(liftAboveZero(rest, by) * by)), by));
}

/** The row-major index of the element at these coordinates. */
export const flatten = (coordinates: readonly Position[], strides: readonly number[]): Position =>
  recombine(
    coordinates.reduce((sum, coordinate, axis) => add(sum, scale(coordinate, strides[axis] as number)), fixed(0)),
  );

/** Undoes the split of a reshape: f·(p mod b) + f·b·⌊p / b⌋ = f·p. */
function recombine(position: Position): Position {
  const { constant, terms } = position;
  for (const { atom, factor } of terms) {
    if (atom.kind !== 'remainder') continue;
    const quotientOf = quotient(atom.of, atom.by);
    const [whole, ...others] = quotientOf.terms;
    if (whole === undefined || others.length > 0 || quotientOf.constant !== 0) continue;
    const isWhole = (term: Term): boolean =>
      term.atom.key === whole.atom.key && term.factor === whole.factor * factor * atom.by;
    if (!terms.some(isWhole)) continue;
    const rest = terms.filter((term) => term.atom !== atom && !isWhole(term));
    return recombine(add({ constant, terms: rest }, scale(atom.of, factor)));
  }
  return position;
}

/** The coordinates of the element with row-major index `position` in an array of this shape. */
export function unflatten(position: Position, shape: readonly number[]): Position[] {
  const coordinates: Position[] = [];
  let rest = position;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    coordinates.unshift(axis === 0 ? rest : remainder(rest, size));
    rest = quotient(rest, size);
  }
  return coordinates;
}

/** All loop variables in a position, also inside quotients and remainders. */
export function variablesOf(position: Position, found = new Set<Variable>()): Set<Variable> {
  for (const { atom } of position.terms) {
    if (atom.kind === 'variable') found.add(atom);
    else variablesOf(atom.of, found);
  }
  return found;
}

/**
 * Finds a loop that, split into an outer loop and an inner one of size `by`, makes a quotient or remainder of the position
 * vanish.
 */
export function findCut(position: Position): { loop: Variable; by: number } | undefined {
  for (const { atom } of position.terms) {
    if (atom.kind === 'variable') continue;
    const inner = findCut(atom.of);
    if (inner !== undefined) return inner;
    for (const { atom: loop, factor } of atom.of.terms) {
      if (loop.kind !== 'variable' || atom.by % factor !== 0) continue;
      const by = atom.by / factor;
      if (by > 1 && by < loop.size && loop.size % by === 0) return { loop, by };
    }
  }
  return undefined;
}

/** Replaces the loop variables of a position. */
export function substitute(position: Position, replace: (loop: Variable) => Position): Position {
  return position.terms.reduce((sum, { atom, factor }) => {
    const value =
      atom.kind === 'variable'
        ? replace(atom)
        : (atom.kind === 'quotient' ? quotient : remainder)(substitute(atom.of, replace), atom.by);
    return add(sum, scale(value, factor));
  }, fixed(position.constant));
}

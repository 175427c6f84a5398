import type { Condition, Scalar } from './kernel.ts';
import type { Position } from './position.ts';

/** The direct operands of a scalar. */
export function partsOf(scalar: Scalar): readonly Scalar[] {
  switch (scalar.kind) {
    case 'apply':
      return scalar.inputs;
    case 'masked':
      return [scalar.inside, scalar.outside];
    case 'lookup':
      return [scalar.index];
    default:
      return [];
  }
}

/** A scalar and all its direct and indirect operands, each once, operands before users. */
export function allParts(scalar: Scalar, found = new Set<Scalar>()): Set<Scalar> {
  if (found.has(scalar)) return found;
  for (const part of partsOf(scalar)) allParts(part, found);
  return found.add(scalar);
}

/** All loads and lookups in a scalar. */
export const loadsOf = (scalar: Scalar): Extract<Scalar, { kind: 'load' | 'lookup' }>[] =>
  [...allParts(scalar)].filter((part) => part.kind === 'load' || part.kind === 'lookup');

/** The positions in a scalar, without those in its operands. */
export function positionsOf(scalar: Scalar): Position[] {
  switch (scalar.kind) {
    case 'load':
    case 'lookup':
    case 'place':
      return [scalar.position];
    case 'masked':
      return scalar.conditions.map(({ position }) => position);
    default:
      return [];
  }
}

/** Rewrites a scalar and all its operands, operands before users. Shared operands stay shared; `known` holds the results. */
export function rewriteScalar(scalar: Scalar, rewrite: (scalar: Scalar) => Scalar, known: Map<Scalar, Scalar>): Scalar {
  const existing = known.get(scalar);
  if (existing !== undefined) return existing;
  const inner = (part: Scalar): Scalar => rewriteScalar(part, rewrite, known);
  const withParts = ((): Scalar => {
    switch (scalar.kind) {
      case 'lookup':
        return { ...scalar, index: inner(scalar.index) };
      case 'masked':
        return { ...scalar, inside: inner(scalar.inside), outside: inner(scalar.outside) };
      case 'apply':
        return { ...scalar, inputs: scalar.inputs.map(inner) };
      default:
        return scalar;
    }
  })();
  const made = rewrite(withParts);
  known.set(scalar, made);
  return made;
}

/** Rewrites the positions in a scalar, without those in its operands. */
export function atPositions(scalar: Scalar, rewrite: (position: Position) => Position): Scalar {
  const condition = (one: Condition): Condition => ({ ...one, position: rewrite(one.position) });
  switch (scalar.kind) {
    case 'load':
    case 'lookup':
    case 'place':
      return { ...scalar, position: rewrite(scalar.position) };
    case 'masked':
      return { ...scalar, conditions: scalar.conditions.map(condition) };
    default:
      return scalar;
  }
}

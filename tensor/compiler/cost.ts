import { isSource, isView } from './primitiveKinds.ts';
import type { Value } from './program.ts';

/** Rough costs of computing one element, in simple operations; primitives that are not listed cost 1. */
const costs: Readonly<Record<string, number>> = {
  exp: 15,
  expm1: 20,
  log: 20,
  log1p: 25,
  sin: 25,
  cos: 25,
  tanh: 20,
  sigmoid: 20,
  softplus: 40,
  erf: 25,
  pow: 80,
  remainder: 80,
  threefry: 100,
  sqrt: 6,
  div: 5,
  gather: 10,
  pad: 4,
  concat: 4,
};

/** The cost of applying a primitive to one element, in simple operations. */
export const operatorCost = (primitive: string): number => costs[primitive] ?? 1;

/** The cost of computing one element of a value from its inputs' elements. Views that only compute positions cost nothing. */
export const elementCost = (value: Value): number =>
  isSource(value) || (isView(value) && !(value.primitive in costs)) ? 0 : operatorCost(value.primitive);

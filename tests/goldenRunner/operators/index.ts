import type { Adapter, Adapters } from './adapter.ts';
import { elementwise, elementwiseByPattern } from './elementwise.ts';
import { layerByPattern, layers } from './layers.ts';
import { movement } from './movement.ts';
import { reductions } from './reductions.ts';

const table: Adapters = { ...elementwise, ...reductions, ...movement, ...layers };

/** The adapter for an operator by the name that the data gives it. */
export const findOperator = (name: string): Adapter | undefined =>
  Object.hasOwn(table, name) ? table[name] : (elementwiseByPattern(name) ?? layerByPattern(name));

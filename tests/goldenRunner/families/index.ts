import type { Family } from './family.ts';
import { operators } from './operators.ts';

/** All kinds of golden data, in the order in which they may pick files. */
export const families: readonly Family[] = [operators];

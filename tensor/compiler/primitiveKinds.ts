import type { Value } from './program.ts';

const views: ReadonlySet<string> = new Set([
  'reshape',
  'permute',
  'broadcastTo',
  'slice',
  'flip',
  'pad',
  'concat',
  'barrier',
]);
const sources: ReadonlySet<string> = new Set(['constant', 'iota']);
/** Each is a kernel of its own, which reads its inputs from memory and writes its output there. */
const steps: ReadonlySet<string> = new Set([
  'matmul',
  'conv',
  'attention',
  'attentionGradient',
  'argMax',
  'cumsum',
  'argSort',
  'scatterAdd',
]);
/** Steps that read their inputs as strided views. */
const contractions: ReadonlySet<string> = new Set(['matmul', 'conv', 'attention', 'attentionGradient']);
const reductions: ReadonlySet<string> = new Set(['sum', 'max']);
/** Further primitives that are not elementwise. */
const others: ReadonlySet<string> = new Set([...sources, 'leaf', 'gather']);

/**
 * A concat of more pieces is copied piece by piece, each by a kernel of its own, instead of by one kernel that chooses among
 * all. With its result and the report of bad indices, a kernel of six pieces has eight buffers, which every GPU allows.
 */
const fewPieces = 6;

/** Whether a value is a concat that is copied piece by piece. */
export const joinsMany = ({ primitive, inputs }: Value): boolean => primitive === 'concat' && inputs.length > fewPieces;
/** Whether a value has neither inputs nor memory: a constant, or the indices along an axis. */
export const isSource = ({ primitive }: Value): boolean => sources.has(primitive);
export const isView = ({ primitive }: Value): boolean => views.has(primitive);
export const isStep = ({ primitive }: Value): boolean => steps.has(primitive);
export const isContraction = ({ primitive }: Value): boolean => contractions.has(primitive);
export const isReduction = ({ primitive }: Value): boolean => reductions.has(primitive);
/** Whether each element is computed from the inputs' elements at the same position. */
export const isElementwise = (value: Value): boolean =>
  !others.has(value.primitive) && !isView(value) && !isStep(value) && !isReduction(value);

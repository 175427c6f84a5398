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
/** Each is a step of its own, which reads its inputs from memory and writes its output there. */
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
/** Steps that read their inputs with any strides. */
const contractions: ReadonlySet<string> = new Set(['matmul', 'conv', 'attention', 'attentionGradient']);
const reductions: ReadonlySet<string> = new Set(['sum', 'max']);
/** What is neither elementwise nor any of these. */
const others: ReadonlySet<string> = new Set([...sources, 'leaf', 'gather']);

/**
 * Joining more pieces than this is done piece by piece, each with a kernel of its own, instead of by choosing among all.
 * With the result and a report of bad indices these are eight buffers, as many as every GPU lets a kernel have.
 */
const fewPieces = 6;

export const joinsMany = ({ primitive, inputs }: Value): boolean => primitive === 'concat' && inputs.length > fewPieces;
/** Whether a value comes from no other value: a number, or the indices along an axis. */
export const isSource = ({ primitive }: Value): boolean => sources.has(primitive);
export const isView = ({ primitive }: Value): boolean => views.has(primitive);
export const isStep = ({ primitive }: Value): boolean => steps.has(primitive);
export const isContraction = ({ primitive }: Value): boolean => contractions.has(primitive);
export const isReduction = ({ primitive }: Value): boolean => reductions.has(primitive);
/** Whether each element is made of the elements at the same place. */
export const isElementwise = (value: Value): boolean =>
  !others.has(value.primitive) && !isView(value) && !isStep(value) && !isReduction(value);

import { range } from '../../../range.ts';
import { sizeOf } from '../../../shape.ts';
import { type Kernel, Shader, type ShaderTraits } from '../../wgsl/shader.ts';
import { fewMultiplications } from '../view.ts';
import { inverseOf, rowsOf, scoring, startOf, storeStep, unseen, type Walk, weightOf } from './walk.ts';

/** Invocations in a workgroup: as many as a CPU's shader runs at once. */
const groupSize = 4;
/** Queries that an invocation takes, and keys at a time. */
const [queriesTaken, keysTaken] = [16, 8];
/** Numbers of a query and its result for which there is room: they lie on the stack of a thread, for each lane. */
export const mostColumns = 320;

/** What is small is not worth a shader that takes long to compile. */
const isSmall = ({ rows, others, batch, scores }: Walk): boolean =>
  rows * others * scores.depth * sizeOf(batch) < fewMultiplications;

/**
 * Attention where each invocation takes a few queries, which it copies into memory of its own, and goes through all keys:
 * for adapters that are CPUs, see blocks.ts of matrix products. Neighbouring invocations read the same keys, which is
 * cheap. Beyond the edge, the last query is computed again and not stored. What is done once for a score is a loop, since
 * long shaders take long to compile.
 */
export function attentionBlocks(walk: Walk, traits: ShaderTraits): Kernel {
  const { label, rows, others, batch, causal, scores, pieces } = walk;
  const shader = new Shader(traits);
  const [high, wide] = isSmall(walk) ? [1, 1] : [queriesTaken, keysTaken];
  const blocks = Math.ceil(rows / high);
  const units = blocks * sizeOf(batch);
  const ragged = others % wide !== 0;
  const each = (code: (r: number) => string): string => range(high).map(code).join('\n');
  const eachKey = (code: (c: number) => string): string => range(wide).map(code).join('\n');
  const array = (name: string, type: string, size: number): string => `var ${name}: array<${type}, ${size}>;`;
  const rowAt = (r: string | number): string =>
    rows % high === 0 ? `(first + ${r})` : `min(first + ${r}, ${rows - 1})`;
  const loopRows = (body: string): string => `for (var r = 0; r < ${high}; r++) {\n${body}\n}`;

  const x = rowsOf(shader, walk, 'q', scores.own, scores.depth);
  const y = rowsOf(shader, walk, 'k', scores.other, scores.depth);
  const score = scoring(shader, walk);
  const made = pieces.map((piece, i) => ({
    name: `made${i}`,
    piece,
    from: rowsOf(shader, walk, `from${i}`, piece.other, piece.columns),
  }));
  const multiply = `{\n${each((r) => eachKey((c) => `var s${r}_${c} = 0f;`))}
for (var d = 0; d < ${x.steps}; d++) {
${eachKey((c) => `let y${c} = ${y.load(`key${c}`, 'd')};`)}
${each((r) => `{\nlet x = queries[d * ${high} + ${r}];\n${eachKey((c) => `s${r}_${c} += dot(x, y${c});`)}\n}`)}
}
${each((r) => eachKey((c) => `weights[${r * wide + c}] = s${r}_${c};`))}\n}`;
  const weightAt = (c: number): string => `weights[r * ${wide} + ${c}]`;
  const beyond = (c: number): string | undefined => (ragged ? `next + ${c} >= ${others}` : undefined);
  // What has been added up is in relation to the largest score so far.
  const weigh = loopRows(`let row = ${rowAt('r')};
${eachKey((c) => `let s${c} = ${score.of(weightAt(c), 'row', `key${c}`, beyond(c))};`)}
let larger = ${range(wide).reduce((most, c) => `max(${most}, s${c})`, 'most[r]')};
${eachKey((c) => `let w${c} = ${weightOf(walk, ragged, `s${c}`, 'larger')};\n${weightAt(c)} = w${c};`)}
shrunk[r] = exponential(most[r] - larger);
most[r] = larger;
total[r] = total[r] * shrunk[r] + (${range(wide)
    .map((c) => `w${c}`)
    .join(' + ')});`);
  const add = (name: string, r: number): string => `{
var sum = ${name}[d * ${high} + ${r}] * shrunk[${r}];
${eachKey((c) => `sum += weights[${r * wide + c}] * y${c};`)}
${name}[d * ${high} + ${r}] = sum;\n}`;
  const lines = [
    `let unit = group * ${groupSize} + local;\nif (unit >= ${units}) { return; }`,
    `let first = (unit % ${blocks}) * ${high};\nlet batch = unit / ${blocks};`,
    ...[x, y, score, ...made.map(({ from }) => from)].map(({ start }) => start),
    array('queries', 'vec4<f32>', high * x.steps),
    array('weights', 'f32', high * wide),
    ...made.map(({ name, from }) => array(name, 'vec4<f32>', high * from.steps)),
    ...['most', 'total', 'shrunk'].map((name) => array(name, 'f32', high)),
    loopRows(`most[r] = ${unseen};
for (var d = 0; d < ${x.steps}; d++) { queries[d * ${high} + r] = ${x.load(rowAt('r'), 'd')}; }`),
    `for (var next = 0; next < ${causal ? `min(first + ${high}, ${others})` : others}; next += ${wide}) {`,
    eachKey((c) => `let key${c} = ${ragged ? `min(next + ${c}, ${others - 1})` : `next + ${c}`};`),
    multiply,
    weigh,
    ...made.map(
      ({ name, from }) => `for (var d = 0; d < ${from.steps}; d++) {
${eachKey((c) => `let y${c} = ${from.load(`key${c}`, 'd')};`)}\n${each((r) => add(name, r))}\n}`,
    ),
    '}',
    loopRows(`let row = first + r;\nif (row < ${rows}) {\nlet inverse = ${inverseOf('total[r]')};
${made
  .map(
    ({ name, piece, from }) => `{\nlet to = ${startOf(walk, piece.to)};\nfor (var d = 0; d < ${from.steps}; d++) {
let sum = ${name}[d * ${high} + r] * inverse;\n${storeStep(shader, piece, 'to', 'row', 'd')}\n}\n}`,
  )
  .join('\n')}\n}`),
  ];
  return shader.finish(label, groupSize, Math.ceil(units / groupSize), lines.join('\n'));
}

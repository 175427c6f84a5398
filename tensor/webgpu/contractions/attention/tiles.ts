import { range } from '../../../range.ts';
import { sizeOf } from '../../../shape.ts';
import type { BufferCode } from '../../wgsl/bufferCode.ts';
import { type Kernel, Shader, type ShaderTraits } from '../../wgsl/shader.ts';
import {
  across,
  addUp,
  declareShared,
  four,
  groupsOf,
  joined,
  joinedBeside,
  lanes,
  multiply,
  side,
  storeSums,
  sumsOf,
  type Tile,
  vector,
  within,
} from './tileCode.ts';
import {
  inverseOf,
  type Piece,
  scoring,
  startOf,
  statisticAt,
  statisticNames,
  unseen,
  type Walk,
  weightOf,
} from './walk.ts';

/** Vectors for each of four own rows that an invocation can keep of one piece, and of all pieces. */
const [mostOfPiece, mostOfAll] = [4, 6];

/** Divides a walk into walks that make no more columns than invocations can keep. */
function divided(walk: Walk): Walk[] {
  const most = mostOfPiece * across;
  const slices = walk.pieces.flatMap((piece) =>
    range(Math.ceil(piece.columns / most)).map((i): Piece => {
      const { other, to } = piece;
      return {
        ...piece,
        columns: Math.min(most, piece.columns - i * most),
        other: { ...other, offset: other.offset + i * most * other.along },
        to: { ...to, offset: to.offset + i * most },
      };
    }),
  );
  const parts: Piece[][] = [[]];
  for (const slice of slices) {
    const last = parts.at(-1) ?? [];
    const fits = last.reduce((sum, piece) => sum + groupsOf(piece), groupsOf(slice)) <= mostOfAll;
    if (fits) last.push(slice);
    else parts.push([slice]);
  }
  return parts.map((pieces) => ({ ...walk, pieces }));
}

/** The kernels of a walk on a GPU. */
export const attentionTiles = (walk: Walk, traits: ShaderTraits): Kernel[] =>
  divided(walk).map((part) => tileKernel(part, traits));

/**
 * A workgroup of 256 takes 64 own rows and goes through all other rows, 64 at a time. It multiplies both in shared memory, 16
 * steps of the depth at a time, turns the scores into weights in registers, and multiplies the weights with the pieces' rows,
 * half of the other rows at a time. Invocation (y, x) of 16×16 has own rows 4y to 4y + 3, other rows 4x to 4x + 3, and of every
 * 64 columns of the result columns 4x to 4x + 3. As in matmul/tiles.ts, shared memory has vectors along the rows.
 */
function tileKernel(walk: Walk, traits: ShaderTraits): Kernel {
  const { label, own, rows, others, batch, causal, scores, byWeights, statistics } = walk;
  const shader = new Shader(traits);
  const tile: Tile = { walk, shader, online: statistics?.access !== 'read', ragged: others % side !== 0 };
  const { online } = tile;
  const [tiles, batches] = [Math.ceil(rows / side), sizeOf(batch)];
  declareShared(shader);
  // Shaders number their buffers in the order in which code first refers to them.
  const products = [multiply(tile, 's', scores), ...(byWeights ? [multiply(tile, 'g', byWeights)] : [])];
  const score = scoring(shader, walk);
  const buffer = statistics && shader.buffer(statistics.place, statistics.access, 'f32');
  const sums = sumsOf(tile);
  const stores = sums.flatMap((one) => storeSums(tile, one));

  const scoreOf = (i: number): string => {
    const beyond = (j: number): string | undefined => (tile.ragged ? `next + 4 * x + ${j} >= ${others}` : undefined);
    return `s${i} = ${vector((j) => score.of(`s${i}.${lanes[j]}`, `row${i}`, `other${j}`, beyond(j)))};`;
  };
  const names = sums.flatMap(({ groups }) => groups.flatMap((group) => group.map((name, i) => ({ name, i }))));
  // In causal attention, tiles that no own row sees are passed over.
  const [from, to] = causal
    ? [own === 'keys' ? 'first' : '0', own === 'queries' ? `min(first + ${side}, ${others})` : others]
    : ['0', others];
  const lines = [
    `let batch = group / ${tiles};\nif (batch >= ${batches}) { return; }`,
    `let first = group % ${tiles} * ${side};\nlet y = local / 16;\nlet x = local % 16;`,
    ...products.map(({ start }) => start),
    ...sums.map((one) => one.from.start),
    score.start,
    ...four.map((i) => `let row${i} = ${within(`first + 4 * y + ${i}`, rows)};`),
    ...names.map(({ name }) => `var ${name} = vec4<f32>();`),
    online ? `var most = vec4<f32>(${unseen});\nvar total = vec4<f32>();\nvar mean = vec4<f32>();` : '',
    buffer && !online && own === 'queries' ? readStatistics(walk, buffer, 'row') : '',
    `for (var next = ${from}; next < ${to}; next += ${side}) {`,
    ...four.map((j) => `let other${j} = ${within(`next + 4 * x + ${j}`, others)};`),
    buffer && !online && own === 'keys' ? readStatistics(walk, buffer, 'other') : '',
    ...products.map(({ code }) => code),
    ...four.map(scoreOf),
    online ? followLargest(tile) : differentiate(tile),
    ...(online ? names.map(({ name, i }) => `${name} *= shrunk.${lanes[i]};`) : []),
    ...(sums.length > 0
      ? [`for (var part = 0; part < 2; part++) {\n${addUp(tile, sums, 'weight')}\n${addUp(tile, sums, 'byScore')}\n}`]
      : []),
    '}',
    online ? joinStatistics(walk) : '',
    ...(buffer && online ? storeStatistics(walk, buffer) : []),
    ...sums.map(({ start, piece }) => `let ${start} = ${startOf(walk, piece.to)};`),
    ...stores,
  ];
  return shader.finish(label, 256, tiles * batches, lines.join('\n'));
}

/** Code for the weights of own row i, from its scores; online, relative to the largest score so far. */
function weigh({ walk, online, ragged }: Tile, i: number): string {
  /** The lane of a query's statistic: the query is own row i or other row j. */
  const ofQuery = (name: string, j: number): string => `${name}.${lanes[walk.own === 'queries' ? i : j]}`;
  return `let w${i} = ${vector((j) => {
    const weight = weightOf(walk, ragged, `s${i}.${lanes[j]}`, ofQuery('most', j));
    return online ? weight : `${weight} * ${ofQuery('inverse', j)}`;
  })};`;
}

/** Code that weighs a tile and rescales what was added up before to the largest score so far (online softmax). */
const followLargest = (tile: Tile): string => `let before = most;
most = max(most, ${vector((i) => `max(max(s${i}.x, s${i}.y), max(s${i}.z, s${i}.w))`)});
${joinedBeside('most', (other) => `max(most, ${other})`)}
let shrunk = ${vector((i) => `exponential(before.${lanes[i]} - most.${lanes[i]})`)};
${four.map((i) => weigh(tile, i)).join('\n')}
total = total * shrunk + ${vector((i) => `dot(w${i}, vec4<f32>(1f))`)};
${tile.walk.byWeights ? `mean = mean * shrunk + ${vector((i) => `dot(w${i}, g${i})`)};` : ''}`;

/** Code for a tile's weights and gradients by scores, given the statistics of queries. */
const differentiate = (tile: Tile): string =>
  four
    .map((i) => {
      const mean = tile.walk.own === 'queries' ? `mean.${lanes[i]}` : 'mean';
      return `${weigh(tile, i)}\nlet u${i} = w${i} * (g${i} - ${mean});`;
    })
    .join('\n');

/** Code that completes the statistics of own rows from those of the 16 invocations that share them. */
const joinStatistics = ({ byWeights }: Walk): string =>
  `${joined('total', (other) => `total + ${other}`)}\nlet inverse = ${vector((i) => inverseOf(`total.${lanes[i]}`))};
${byWeights ? `${joined('mean', (other) => `mean + ${other}`)}\nmean *= inverse;` : ''}`;

/** Code that reads the statistics of the queries `query`0 to `query`3. */
const readStatistics = (walk: Walk, buffer: BufferCode, query: string): string =>
  statisticNames
    .map((name, which) => `let ${name} = ${vector((i) => buffer.read(statisticAt(walk, which, `${query}${i}`)))};`)
    .join('\n');

const storeStatistics = (walk: Walk, buffer: BufferCode): string[] =>
  four.map(
    (i) => `if (x == 0 && first + 4 * y + ${i} < ${walk.rows}) {
${statisticNames.map((name, which) => buffer.write(statisticAt(walk, which, `row${i}`), `${name}.${lanes[i]}`)).join('\n')}\n}`,
  );

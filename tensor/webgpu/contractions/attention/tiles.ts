import { range } from '../../../range.ts';
import { sizeOf } from '../../../shape.ts';
import { type Kernel, placeBytes, Shader, type ShaderTraits } from '../../wgsl/shader.ts';
import {
  inverseOf,
  type Matrix,
  type Piece,
  type Products,
  type Rows,
  rowsOf,
  scoring,
  startOf,
  statisticAt,
  statisticNames,
  storeStep,
  unseen,
  type Walk,
  weightOf,
} from './walk.ts';

/** Rows of each side that a workgroup takes together; each invocation has 4×4 of their scores. */
const tile = 64;
/** Steps of the depth that are in shared memory at a time. */
const deep = 16;
/** Where in shared memory the other rows begin, what is reduced, and what is multiplied with the weights. */
const [othersAt, reducedAt, addedAt] = [256, 512, 512];
/** Vectors of shared memory: the 16 KiB that every adapter has. */
const sharedVectors = 1024;
/** Columns of results that an invocation has a vector of. */
const across = 64;
/** Vectors for each of four rows that an invocation can keep of one piece, and of all. */
const [mostOfPiece, mostOfAll] = [4, 6];

const groupsOf = ({ columns }: Piece): number => Math.ceil(columns / across);

/** A walk as some that each make no more columns than invocations can keep. */
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

const four = range(4);
const vector = (elements: (i: number) => string): string => `vec4<f32>(${four.map(elements).join(', ')})`;
const lanes = 'xyzw';
/** Code for a place among rows of 16 vectors, such that neighbours in a column lie in different banks of memory. */
const swizzled = (row: string, column: string): string => `${row} * 16 + (${column} ^ (${row} & 15))`;

/**
 * A workgroup of 256 takes 64 rows and goes through all others, 64 at a time: it multiplies both, 16 of the depth at a
 * time, out of shared memory, makes weights of the scores in registers, and multiplies these with pieces of the other
 * rows, half of them at a time. Invocation (y, x) of 16×16 has own rows 4y to 4y + 3, other rows 4x to 4x + 3, and of every
 * 64 columns of the result 4x to 4x + 3. As in tiles.ts of matrix products, shared memory has vectors along the rows.
 */
function tileKernel(walk: Walk, traits: ShaderTraits): Kernel {
  const { label, own, rows, others, batch, causal, scores, byWeights, statistics, pieces } = walk;
  const shader = new Shader(traits);
  const online = statistics?.access !== 'read';
  const [tiles, batches] = [Math.ceil(rows / tile), sizeOf(batch)];
  const ragged = others % tile !== 0;
  const within = (row: string, count: number): string =>
    count % tile === 0 ? `(${row})` : `min(${row}, ${count - 1})`;
  shader.declare(`var<workgroup> both: array<vec4<f32>, ${sharedVectors}>;`);
  const starts: string[] = [];
  const products = [scores, ...(byWeights ? [byWeights] : [])];
  const multiplied = products.flatMap((one) => [one.own.from, one.other.from]);
  // What is multiplied is read by single elements. Seen as vectors too it takes another buffer, for which there may be no room.
  const hasRoom =
    walk.bias === undefined &&
    [...multiplied, ...pieces.map(({ to }) => to.from)].every((one) => placeBytes(one) <= traits.bindingBytes);
  const viewed = (name: string, { other, columns }: Piece): Rows => {
    const seen = rowsOf(shader, walk, name, other, columns, hasRoom || !multiplied.includes(other.from));
    starts.push(seen.start);
    return seen;
  };
  /** Code that sets an element of shared memory to a step of a row, 0 beyond its end. */
  const fill = (place: string, steps: number, step: string, most: number, load: string): string =>
    steps % most === 0
      ? `both[${place}] = ${load};`
      : `both[${place}] = vec4<f32>();\nif (${step} < ${steps}) { both[${place}] = ${load}; }`;

  /** Code that multiplies all own rows of a tile with all others. */
  const multiply = (name: string, { own: mine, other: theirs, depth }: Products): string => {
    starts.push(`let ${name}A = ${startOf(walk, mine)};\nlet ${name}B = ${startOf(walk, theirs)};`);
    const elements = (start: string, matrix: Matrix, row: (i: number) => string): string =>
      vector((i) => shader.load(matrix.from, `${start} + ${row(i)} * ${matrix.row} + k * ${matrix.along}`));
    const own = elements(`${name}A`, mine, (i) => within(`first + 4 * y + ${i}`, rows));
    const other = elements(`${name}B`, theirs, (i) => within(`next + 4 * y + ${i}`, others));
    return `${four.map((i) => `var ${name}${i} = vec4<f32>();`).join('\n')}
for (var start = 0; start < ${depth}; start += ${deep}) {
let k = start + x;
let place = ${swizzled('x', 'y')};
${fill('place', depth, 'k', deep, own)}
${fill(`${othersAt} + place`, depth, 'k', deep, other)}
workgroupBarrier();
for (var d = 0; d < ${deep}; d++) {
let a = both[${swizzled('d', 'y')}];
let b = both[${othersAt} + ${swizzled('d', 'x')}];
${four.map((i) => `${name}${i} += a.${lanes[i]} * b;`).join('\n')}
}
workgroupBarrier();
}`;
  };
  const multiplyScores = multiply('s', scores);
  const multiplyByWeights = byWeights ? multiply('g', byWeights) : '';

  const score = scoring(shader, walk);
  const scoreOf = (i: number): string => {
    const beyond = (j: number): string | undefined => (ragged ? `next + 4 * x + ${j} >= ${others}` : undefined);
    return `s${i} = ${vector((j) => score.of(`s${i}.${lanes[j]}`, `row${i}`, `other${j}`, beyond(j)))};`;
  };
  /** What belongs to the query of own row i and other row j. */
  const ofQuery = (name: string, i: number, j: number): string => `${name}.${lanes[own === 'queries' ? i : j]}`;
  const weigh = (i: number): string =>
    `let w${i} = ${vector((j) => {
      const weight = weightOf(walk, ragged, `s${i}.${lanes[j]}`, ofQuery('most', i, j));
      return online ? weight : `${weight} * ${ofQuery('inverse', i, j)}`;
    })};`;
  /** Joins what the invocations with the same rows have, always in the same order. */
  const joined = (
    place: number,
    name: string,
    join: (other: string) => string,
  ): string => `both[${place} + local] = ${name};
workgroupBarrier();
${name} = both[${place} + 16 * y];
for (var i = 1; i < 16; i++) { ${name} = ${join(`both[${place} + 16 * y + i]`)}; }
workgroupBarrier();`;
  // What has been added up is in relation to the largest score so far.
  const follow = `let before = most;
most = max(most, ${vector((i) => `max(max(s${i}.x, s${i}.y), max(s${i}.z, s${i}.w))`)});
${joined(reducedAt, 'most', (other) => `max(most, ${other})`)}
let shrunk = ${vector((i) => `exponential(before.${lanes[i]} - most.${lanes[i]})`)};
${four.map(weigh).join('\n')}
total = total * shrunk + ${vector((i) => `dot(w${i}, vec4<f32>(1f))`)};
${byWeights ? `mean = mean * shrunk + ${vector((i) => `dot(w${i}, g${i})`)};` : ''}`;
  const differentiate = four
    .map((i) => {
      const mean = own === 'queries' ? `mean.${lanes[i]}` : 'mean';
      return `${weigh(i)}\nlet u${i} = w${i} * (g${i} - ${mean});`;
    })
    .join('\n');
  const kept = statistics && shader.buffer(statistics.place, statistics.access, 'f32');
  const readStatistics = (query: string): string =>
    statisticNames
      .map(
        (name, which) => `let ${name} = ${vector((i) => `${kept?.read(statisticAt(walk, which, `${query}${i}`))}`)};`,
      )
      .join('\n');

  const made = pieces.map((piece, p) => ({
    factor: piece.factor,
    from: viewed(`from${p}`, piece),
    piece,
    start: `to${p}`,
    groups: range(groupsOf(piece)).map((group) => ({ group, names: four.map((i) => `made${p}_${group}_${i}`) })),
  }));
  const addUp = (factor: Piece['factor']): string => {
    const ofFactor = made.filter((one) => one.factor === factor);
    if (ofFactor.length === 0) return '';
    const name = factor === 'weight' ? 'w' : 'u';
    const spread = four.map(
      (j) =>
        `{ let k = 4 * x % 32 + ${j}; both[${swizzled('k', 'y')}] = ${vector((i) => `${name}${i}.${lanes[j]}`)}; }`,
    );
    return `{\nif (x / 8 == part) {\n${spread.join('\n')}\n}
${ofFactor.flatMap(({ from, groups }) => groups.map(({ group, names }) => addGroup(from, group, names))).join('\n')}\n}`;
  };
  const addGroup = (from: Rows, group: number, names: readonly string[]): string => {
    const load = from.load(within('next + 32 * part + e / 16', others), 'step');
    return `for (var e = local; e < 512; e += 256) {
let step = ${16 * group} + e % 16;
${fill(`${addedAt} + e`, from.steps, 'step', 16, load)}
}
workgroupBarrier();
for (var k = 0; k < 32; k++) {
let factors = both[${swizzled('k', 'y')}];
let elements = both[${addedAt} + k * 16 + x];
${names.map((name, i) => `${name} += factors.${lanes[i]} * elements;`).join('\n')}
}
workgroupBarrier();`;
  };
  const everyMade = made.flatMap(({ groups }) => groups.flatMap(({ names }) => names.map((name, i) => ({ name, i }))));
  const store = made.flatMap(({ piece, from, start, groups }) =>
    groups.flatMap(({ group, names }) =>
      names.map((name, i) => {
        const finished = online ? `${name} * inverse.${lanes[i]}` : name;
        const step = `(${16 * group} + x)`;
        return `if (first + 4 * y + ${i} < ${rows} && ${step} < ${from.steps}) {\nlet sum = ${finished};\n${storeStep(shader, piece, start, `row${i}`, step)}\n}`;
      }),
    ),
  );
  const storeStatistics = four.map(
    (i) => `if (x == 0 && first + 4 * y + ${i} < ${rows}) {
${statisticNames.map((name, which) => kept?.write(statisticAt(walk, which, `row${i}`), `${name}.${lanes[i]}`)).join('\n')}\n}`,
  );
  const end = `${joined(0, 'total', (other) => `total + ${other}`)}\nlet inverse = ${vector((i) => inverseOf(`total.${lanes[i]}`))};
${byWeights ? `${joined(0, 'mean', (other) => `mean + ${other}`)}\nmean *= inverse;` : ''}`;

  const lines = [
    `let batch = group / ${tiles};\nif (batch >= ${batches}) { return; }`,
    `let first = group % ${tiles} * ${tile};\nlet y = local / 16;\nlet x = local % 16;`,
    ...starts,
    score.start,
    ...four.map((i) => `let row${i} = ${within(`first + 4 * y + ${i}`, rows)};`),
    ...everyMade.map(({ name }) => `var ${name} = vec4<f32>();`),
    online ? `var most = vec4<f32>(${unseen});\nvar total = vec4<f32>();\nvar mean = vec4<f32>();` : '',
    !online && own === 'queries' ? readStatistics('row') : '',
    // Of causal attention, tiles that no own row sees are passed over.
    `for (var next = ${causal && own === 'keys' ? 'first' : '0'}; next < ${causal && own === 'queries' ? `min(first + ${tile}, ${others})` : others}; next += ${tile}) {`,
    ...four.map((j) => `let other${j} = ${within(`next + 4 * x + ${j}`, others)};`),
    !online && own === 'keys' ? readStatistics('other') : '',
    multiplyScores,
    multiplyByWeights,
    ...four.map(scoreOf),
    online ? follow : differentiate,
    ...(online ? everyMade.map(({ name, i }) => `${name} *= shrunk.${lanes[i]};`) : []),
    ...(made.length > 0 ? [`for (var part = 0; part < 2; part++) {\n${addUp('weight')}\n${addUp('byScore')}\n}`] : []),
    '}',
    online ? end : '',
    ...(statistics?.access === 'write' ? storeStatistics : []),
    ...made.map(({ start, piece }) => `let ${start} = ${startOf(walk, piece.to)};`),
    ...store,
  ];
  return shader.finish(label, 256, tiles * batches, lines.join('\n'));
}

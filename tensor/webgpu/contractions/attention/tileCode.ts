import { range } from '../../../range.ts';
import { placeBytes, type Shader } from '../../wgsl/shader.ts';
import { type Matrix, type Piece, type Products, type Rows, rowsOf, startOf, storeStep, type Walk } from './walk.ts';

/** Own rows, and other rows, that a workgroup takes at a time; each invocation has 4×4 of their scores. */
export const side = 64;
/** Steps of the depth that shared memory holds at a time. */
const deep = 16;
/** Where shared memory holds the other rows, a reduction over invocations, and the rows multiplied by weights, in vectors. */
const [othersAt, reducedAt, addedAt] = [256, 512, 512];
/** Vectors of shared memory: the 16 KiB that every adapter has. */
const sharedVectors = 1024;
/** Columns of a result for which the 16 invocations of a row need one vector each. */
export const across = 64;

export const groupsOf = ({ columns }: Piece): number => Math.ceil(columns / across);

export const four = range(4);
export const lanes = 'xyzw';
export const vector = (elements: (i: number) => string): string => `vec4<f32>(${four.map(elements).join(', ')})`;
/** Code for a place among rows of 16 vectors; neighbours in a column lie in different banks of memory. */
const swizzled = (row: string, column: string): string => `${row} * 16 + (${column} ^ (${row} & 15))`;
/** Code for a row's number, or that of the last row where there is no such row. */
export const within = (row: string, count: number): string =>
  count % side === 0 ? `(${row})` : `min(${row}, ${count - 1})`;

/** What the parts of a kernel's code share. */
export interface Tile {
  readonly walk: Walk;
  readonly shader: Shader;
  /** True if the kernel finds the queries' statistics as it goes through the keys; otherwise it reads them. */
  readonly online: boolean;
  /** True if the last tile of other rows is not full. */
  readonly ragged: boolean;
}

export const declareShared = (shader: Shader): void =>
  shader.declare(`var<workgroup> both: array<vec4<f32>, ${sharedVectors}>;`);

/** Code that sets a vector of shared memory to a step of a row, or to 0 beyond the row's end. */
const fill = (place: string, steps: number, step: string, divisor: number, load: string): string =>
  steps % divisor === 0
    ? `both[${place}] = ${load};`
    : `both[${place}] = vec4<f32>();\nif (${step} < ${steps}) { both[${place}] = ${load}; }`;

/** Code that multiplies all own rows of a tile with all others, into the vectors `name`0 to `name`3, and code to run first. */
export function multiply(
  { walk, shader }: Tile,
  name: string,
  { own: mine, other: theirs, depth }: Products,
): { readonly start: string; readonly code: string } {
  const elements = (start: string, matrix: Matrix, row: (i: number) => string): string =>
    vector((i) => shader.load(matrix.from, `${start} + ${row(i)} * ${matrix.row} + k * ${matrix.along}`));
  const own = elements(`${name}A`, mine, (i) => within(`first + 4 * y + ${i}`, walk.rows));
  const other = elements(`${name}B`, theirs, (i) => within(`next + 4 * y + ${i}`, walk.others));
  return {
    start: `let ${name}A = ${startOf(walk, mine)};\nlet ${name}B = ${startOf(walk, theirs)};`,
    code: `${four.map((i) => `var ${name}${i} = vec4<f32>();`).join('\n')}
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
}`,
  };
}

/** Code that joins a variable of the invocations with the same own rows, always in the same order. */
export const joined = (
  name: string,
  join: (other: string) => string,
  place = 0,
): string => `both[${place} + local] = ${name};
workgroupBarrier();
${name} = both[${place} + 16 * y];
for (var i = 1; i < 16; i++) { ${name} = ${join(`both[${place} + 16 * y + i]`)}; }
workgroupBarrier();`;

/** The same where shared memory still holds the rows of the tile. */
export const joinedBeside = (name: string, join: (other: string) => string): string => joined(name, join, reducedAt);

/** The sums of a piece in an invocation's registers. */
export interface Sums {
  readonly piece: Piece;
  readonly from: Rows;
  /** The variable for where the piece begins in its result. */
  readonly start: string;
  /** For every 64 columns the vectors of four own rows, each of four columns. */
  readonly groups: readonly (readonly string[])[];
}

export function sumsOf({ walk, shader }: Tile): Sums[] {
  const { scores, byWeights, bias, pieces } = walk;
  const products = [scores, ...(byWeights ? [byWeights] : [])];
  const multiplied = products.flatMap((one) => [one.own.from, one.other.from]);
  // Factors of products are read by elements. Reading one in vectors too takes a second buffer, for which there may be no room.
  const hasRoom =
    bias === undefined &&
    [...multiplied, ...pieces.map(({ to }) => to.from)].every((one) => placeBytes(one) <= shader.traits.bindingBytes);
  return pieces.map((piece, p) => {
    const mayBeVectors = hasRoom || !multiplied.includes(piece.other.from);
    return {
      piece,
      from: rowsOf(shader, walk, `from${p}`, piece.other, piece.columns, mayBeVectors),
      start: `to${p}`,
      groups: range(groupsOf(piece)).map((group) => four.map((i) => `made${p}_${group}_${i}`)),
    };
  });
}

/** Code that adds half of a tile's other rows, times their factors, to all sums with that factor. */
export function addUp({ walk }: Tile, all: readonly Sums[], factor: Piece['factor']): string {
  const sums = all.filter(({ piece }) => piece.factor === factor);
  if (sums.length === 0) return '';
  const name = factor === 'weight' ? 'w' : 'u';
  const spread = four.map(
    (j) => `{ let k = 4 * x % 32 + ${j}; both[${swizzled('k', 'y')}] = ${vector((i) => `${name}${i}.${lanes[j]}`)}; }`,
  );
  const groups = sums.flatMap(({ from, groups }) => groups.map((names, group) => addGroup(walk, from, group, names)));
  return `{\nif (x / 8 == part) {\n${spread.join('\n')}\n}\n${groups.join('\n')}\n}`;
}

function addGroup({ others }: Walk, from: Rows, group: number, names: readonly string[]): string {
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
}

/** Code that stores a piece's sums; online, the weights in them are not divided by their sum yet. */
export const storeSums = ({ walk, shader, online }: Tile, { piece, from, start, groups }: Sums): string[] =>
  groups.flatMap((names, group) =>
    names.map((name, i) => {
      const finished = online ? `${name} * inverse.${lanes[i]}` : name;
      const step = `(${16 * group} + x)`;
      return `if (first + 4 * y + ${i} < ${walk.rows} && ${step} < ${from.steps}) {\nlet sum = ${finished};\n${storeStep(shader, piece, start, `row${i}`, step)}\n}`;
    }),
  );

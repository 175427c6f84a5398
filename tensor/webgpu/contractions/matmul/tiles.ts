import type { Value } from '../../../compiler/program.ts';
import { range } from '../../../range.ts';
import { type Kernel, type Shader, typeOf } from '../../wgsl/shader.ts';

/** What a tiled product reads and writes, as code. Rows, columns and depth are i32 names within bounds. */
export interface TiledProduct {
  readonly label: string;
  readonly out: Value;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly batches: number;
  /** Code that runs first; \`batch\` is the number of the product. */
  readonly start: string;
  /** Code for one element; sets the variable \`element\`. */
  a(row: string, k: string): string;
  b(k: string, column: string): string;
  /** The vector of four elements from this row, or column, on: where four lie together and begin at whole vectors. */
  aVector?(row: string, k: string): string;
  bVector?(k: string, column: string): string;
  /** Whether neighbours of A along its depth lie together, and of B along its columns. */
  readonly aRunsAlong: boolean;
  readonly bRunsAcross: boolean;
  /** How many neighbours along a row are stored at once; 1 unless given. */
  readonly together?: 1 | 2 | 4;
  /** Code that stores as many elements from a column on. */
  store(row: string, column: string, ...elements: readonly string[]): string;
}

/**
 * A product where a workgroup of 256 makes a tile out of pieces of A and B that it first brings into shared memory; each
 * invocation makes 4×4 elements of the tile, or 8×8 where there are tiles enough to keep a GPU busy.
 */
export function tileKernel(shader: Shader, product: TiledProduct): Kernel {
  const { label, out, rows, columns, depth, batches, aVector, bVector, together = 1 } = product;
  const type = typeOf(out.dtype);
  const four = `vec4<${type}>`;
  const large = rows >= 512 && columns >= 512 && Math.ceil(rows / 128) * Math.ceil(columns / 128) * batches >= 64;
  const [per, deep] = large ? [2, 8] : [1, 16];
  const tile = 64 * per;
  const [rowTiles, columnTiles] = [Math.ceil(rows / tile), Math.ceil(columns / tile)];
  // Vectors along the rows of A and the columns of B, one after another for each step of the depth.
  const vectors = tile / 4;
  shader.declare(
    `var<workgroup> tileA: array<${four}, ${vectors * deep}>;\nvar<workgroup> tileB: array<${four}, ${vectors * deep}>;`,
  );
  const fill = (
    name: string,
    alongDepth: boolean,
    most: number,
    start: string,
    load: (at: string) => string,
    loadVector: ((at: string) => string) | undefined,
  ): string => {
    const [across, along] = alongDepth ? [`(e / ${deep})`, `(e % ${deep})`] : [`(e % ${vectors})`, `(e / ${vectors})`];
    const elements = range(4).map(
      (i) => `{\nlet at = first + ${i};\nvar element = ${type}(0);
if (at < ${most} && k < ${depth}) {\n${load('at')}\n}\nelements.${'xyzw'[i]} = element;\n}`,
    );
    return `for (var e = local; e < ${vectors * deep}; e += 256) {
let across = ${across};
let first = ${start} + 4 * across;
let along = ${along};
let k = k0 + along;
var elements = ${four}();
${loadVector === undefined ? elements.join('\n') : `if (first < ${most} && k < ${depth}) { elements = ${loadVector('first')}; }`}
${name}[along * ${vectors} + across] = elements;
}`;
  };
  const lines = [
    `let batch = group / ${rowTiles * columnTiles};`,
    `let rowStart = ((group / ${columnTiles}) % ${rowTiles}) * ${tile};\nlet columnStart = (group % ${columnTiles}) * ${tile};`,
    `if (batch >= ${batches}) { return; }`,
    product.start,
    'let own = vec2i(local / 16, local % 16);\nlet mine = own * 4;',
    ...range(4 * per).flatMap((i) => range(per).map((j) => `var c${i}_${j} = ${four}();`)),
    `for (var k0 = 0; k0 < ${depth}; k0 += ${deep}) {`,
    fill(
      'tileA',
      product.aRunsAlong,
      rows,
      'rowStart',
      (at) => product.a(at, 'k'),
      aVector && ((at) => aVector(at, 'k')),
    ),
    fill(
      'tileB',
      !product.bRunsAcross,
      columns,
      'columnStart',
      (at) => product.b('k', at),
      bVector && ((at) => bVector('k', at)),
    ),
    'workgroupBarrier();',
    `for (var k = 0; k < ${deep}; k++) {`,
    ...range(per).map((i) => `let x${i} = tileA[k * ${vectors} + own.x + ${16 * i}];`),
    ...range(per).map((j) => `let y${j} = tileB[k * ${vectors} + own.y + ${16 * j}];`),
    ...range(4 * per).flatMap((i) => range(per).map((j) => `c${i}_${j} += x${i >> 2}.${'xyzw'[i & 3]} * y${j};`)),
    '}\nworkgroupBarrier();\n}',
  ];
  for (const i of range(4 * per)) {
    lines.push(`let m${i} = rowStart + mine.x + ${64 * (i >> 2) + (i & 3)};\nif (m${i} < ${rows}) {`);
    for (const j of range(per)) {
      for (let v = 0; v < 4; v += together) {
        const column = `columnStart + mine.y + ${64 * j + v}`;
        const elements = range(together).map((lane) => `c${i}_${j}.${'xyzw'[v + lane]}`);
        lines.push(`if (${column} < ${columns}) { ${product.store(`m${i}`, `(${column})`, ...elements)} }`);
      }
    }
    lines.push('}');
  }
  return shader.finish(label, 256, rowTiles * columnTiles * batches, lines.join('\n'));
}

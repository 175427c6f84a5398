import { iterations } from '../../../compiler/iterations.ts';
import { range } from '../../../range.ts';
import { type Kernel, typeOf } from '../../wgsl/shader.ts';
import { type ContractionOptions, ContractionShader } from '../result.ts';
import { batchOffsets, inVectors, type Product } from '../view.ts';

/** Invocations in a workgroup: as many as a CPU's shader runs at once. */
const groupSize = 4;

/** Each invocation makes one element: for products too small to be worth more. */
export function smallKernel(product: Product, options: ContractionOptions): Kernel {
  const { label, out, rows, columns, depth, a, b, c, batch } = product;
  const shader = new ContractionShader(out, options);
  const units = rows * columns * iterations(batch);
  const body = `let unit = group * ${groupSize} + local;\nif (unit >= ${units}) { return; }
let n = unit % ${columns};
let m = (unit / ${columns}) % ${rows};
let batch = unit / ${columns * rows};
${batchOffsets(product)}var sum = ${typeOf(out.dtype)}(0);
for (var k = 0; k < ${depth}; k++) {
sum += ${shader.load(a.from, `aStart + m * ${a.row} + k * ${a.along}`)} * ${shader.load(b.from, `bStart + k * ${b.along} + n * ${b.column}`)};
}
${shader.storeResult(`cStart + m * ${c.row} + n`, 'sum')}`;
  return shader.finish(label, groupSize, Math.ceil(units / groupSize), body);
}

/**
 * A product where each invocation makes a block of 8×8 elements out of registers, without barriers: for adapters that
 * are CPUs, where barriers are dear and every invocation is a lane. Vectors are loaded along whichever axis is
 * contiguous; beyond the edge, the last row or column is computed again and not stored.
 */
export function blockKernel(product: Product, options: ContractionOptions): Kernel {
  const { label, out, rows, columns, depth, a, b, c, batch } = product;
  const shader = new ContractionShader(out, options, [columns, c.row, ...batch.map((one) => one.c)]);
  const { together } = shader;
  const type = typeOf(out.dtype);
  const four = `vec4<${type}>`;
  const high = rows > 4 ? 8 : rows > 1 ? 4 : 1;
  const wide = columns > 4 ? 2 : 1;
  const aSteps = [a.offset, ...batch.map((one) => one.a)];
  const bSteps = [b.offset, ...batch.map((one) => one.b)];
  const aAlong = a.along === 1 && inVectors(a.from, depth, [...aSteps, a.row]);
  const aAcross = !aAlong && high >= 4 && a.row === 1 && inVectors(a.from, rows, [...aSteps, a.along]);
  const bAcross = b.column === 1 && inVectors(b.from, columns, [...bSteps, b.along]);
  const bAlong = !bAcross && b.along === 1 && inVectors(b.from, depth, [...bSteps, b.column]);
  const unroll = aAlong || bAlong ? 4 : 1;
  const aVector = (index: string): string => shader.buffer(a.from, 'read', four).read(`(${index}) >> 2u`);
  const bVector = (index: string): string => shader.buffer(b.from, 'read', four).read(`(${index}) >> 2u`);

  const [rowTiles, columnTiles] = [Math.ceil(rows / high), Math.ceil(columns / (4 * wide))];
  const units = rowTiles * columnTiles * iterations(batch);
  const lines: string[] = [
    `let unit = group * ${groupSize} + local;\nif (unit >= ${units}) { return; }`,
    `let n0 = (unit % ${columnTiles}) * ${4 * wide};\nlet m0 = ((unit / ${columnTiles}) % ${rowTiles}) * ${high};`,
    `let batch = unit / ${columnTiles * rowTiles};\n${batchOffsets(product)}`,
  ];
  /** Row i of the block, in A; of vectors across rows, the first of four. */
  const bound = (at: string, most: number, exact: boolean): string => (exact ? at : `min(${at}, ${most})`);
  const rowStarts = aAcross ? range(high / 4).map((i) => 4 * i) : range(high);
  for (const i of rowStarts) {
    const row = bound(`m0 + ${i}`, rows - (aAcross ? 4 : 1), rows % high === 0);
    lines.push(`let a${i} = aStart + (${row}) * ${a.row};`);
  }
  const columnStarts = bAcross ? range(wide).map((j) => 4 * j) : range(4 * wide);
  for (const j of columnStarts) {
    const column = bound(`n0 + ${j}`, columns - (bAcross ? 4 : 1), columns % (4 * wide) === 0);
    lines.push(`let b${j}s = bStart + (${column}) * ${b.column};`);
  }
  for (const i of range(high)) for (const j of range(wide)) lines.push(`var c${i}_${j} = ${four}();`);

  lines.push(`for (var k = 0; k < ${depth}; k += ${unroll}) {`);
  if (aAlong) for (const i of range(high)) lines.push(`let x${i} = ${aVector(`a${i} + k`)};`);
  if (bAlong) for (const j of range(4 * wide)) lines.push(`let y${j} = ${bVector(`b${j}s + k`)};`);
  for (const u of range(unroll)) {
    const lane = 'xyzw'[u];
    const k = u === 0 ? 'k' : `(k + ${u})`;
    if (aAcross) for (const i of rowStarts) lines.push(`let x${i}_${u} = ${aVector(`a${i} + ${k} * ${a.along}`)};`);
    const aAt = (i: number): string => {
      if (aAlong) return `x${i}.${lane}`;
      if (aAcross) return `x${i - (i % 4)}_${u}.${'xyzw'[i % 4]}`;
      return shader.load(a.from, `a${i} + ${k} * ${a.along}`);
    };
    for (const j of range(wide)) {
      const vector = bAcross
        ? bVector(`b${4 * j}s + ${k} * ${b.along}`)
        : `${four}(${range(4)
            .map((v) => (bAlong ? `y${4 * j + v}.${lane}` : shader.load(b.from, `b${4 * j + v}s + ${k} * ${b.along}`)))
            .join(', ')})`;
      lines.push(`let z${j}_${u} = ${vector};`);
    }
    for (const i of range(high)) {
      lines.push(`let w${i}_${u} = ${aAt(i)};`);
      for (const j of range(wide)) lines.push(`c${i}_${j} += w${i}_${u} * z${j}_${u};`);
    }
  }
  lines.push('}');

  // A loop, since an epilogue is much code for a CPU's compiler.
  const vectors = range(high).flatMap((i) => range(wide).map((j) => `c${i}_${j}`));
  const stores = range(4 / together).map((part) => {
    const first = part * together;
    const inside = columns % (4 * wide) === 0 ? '' : `if (n + ${first} < ${columns}) `;
    const elements = range(together).map((lane) => `made.${'xyzw'[first + lane]}`);
    return `${inside}{ ${shader.storeResult(`place + ${first}`, ...elements)} }`;
  });
  lines.push(`var block = array<${four}, ${high * wide}>(${vectors.join(', ')});
for (var i = 0; i < ${rows % high === 0 ? high : `min(${high}, ${rows} - m0)`}; i++) {
for (var j = 0; j < ${wide}; j++) {
let made = block[i * ${wide} + j];
let n = n0 + 4 * j;
let place = cStart + (m0 + i) * ${c.row} + n;
${stores.join('\n')}
}
}`);
  return shader.finish(label, groupSize, Math.ceil(units / groupSize), lines.join('\n'));
}

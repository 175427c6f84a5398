import type { Value } from '../../../compiler/program.ts';
import type { ConvAttributes } from '../../../primitives.ts';
import { range } from '../../../range.ts';
import { sizeOf, stridesOf } from '../../../shape.ts';
import { type Kernel, typeOf } from '../../wgsl/shader.ts';
import { tileKernel } from '../matmul/tiles.ts';
import { type ContractionOptions, ContractionShader } from '../result.ts';
import { fewMultiplications, type Product, type View } from '../view.ts';

const at = (list: readonly number[], i: number): number => list[i] as number;

/** A convolution of x[images, groups·inputs, places…] with w[groups·outputs, inputs, taps…]. */
interface Convolution {
  readonly out: Value;
  readonly x: View;
  readonly w: View;
  readonly attributes: ConvAttributes;
  readonly axes: number;
  readonly images: number;
  /** Per group. */
  readonly inputs: number;
  readonly outputs: number;
  readonly places: readonly number[];
  readonly taps: readonly number[];
  readonly positions: readonly number[];
}

export function readConvolution(out: Value, x: View, w: View): Convolution {
  const attributes = out.attributes as ConvAttributes;
  const [images, , ...places] = x.shape as [number, number, ...number[]];
  const [allOutputs, inputs, ...taps] = w.shape as [number, number, ...number[]];
  const positions = out.shape.slice(2);
  const outputs = allOutputs / attributes.groups;
  return { out, x, w, attributes, axes: places.length, images, inputs, outputs, places, taps, positions };
}

/** A convolution with one tap and nothing around it is a product; \`undefined\` for others. */
export function asProduct(convolution: Convolution): Product | undefined {
  const { out, x, w, attributes, images, inputs, outputs, places, positions, taps, axes } = convolution;
  const { strides, before, inputDilation, groups } = attributes;
  const plain =
    taps.every((size) => size === 1) &&
    strides.every((stride) => stride === 1) &&
    inputDilation.every((dilation) => dilation === 1) &&
    before.every((size) => size === 0) &&
    places.join() === positions.join();
  // The places of an image have to follow one another.
  const steps = range(axes).filter((i) => at(places, i) > 1);
  const column = at(x.strides, 2 + (steps.at(-1) ?? 0)) ?? 1;
  let expected = column;
  for (const i of [...steps].reverse()) {
    if (at(x.strides, 2 + i) !== expected) return undefined;
    expected *= at(places, i);
  }
  if (!plain) return undefined;
  const columns = sizeOf(places);
  return {
    label: 'conv',
    out,
    rows: outputs,
    columns,
    depth: inputs,
    a: { from: w.from, offset: w.offset, row: at(w.strides, 0), along: at(w.strides, 1) },
    b: { from: x.from, offset: x.offset, along: at(x.strides, 1), column: axes === 0 ? 1 : column },
    c: { row: columns },
    batch: [
      { size: images, a: 0, b: at(x.strides, 0), c: groups * outputs * columns },
      { size: groups, a: at(w.strides, 0) * outputs, b: at(x.strides, 1) * inputs, c: outputs * columns },
    ],
  };
}

/** Code for where a position (\`number\` of all images' positions) meets x: its image and, on each axis, tap 0. */
function meetings(convolution: Convolution, number: string, suffix: string): string {
  const { positions, attributes, axes, x } = convolution;
  const count = sizeOf(positions);
  const strides = stridesOf(positions);
  const lines = [
    `let image${suffix} = ${number} / ${count};\nlet start${suffix} = image${suffix} * ${at(x.strides, 0)};`,
  ];
  for (const i of range(axes)) {
    const q = `((${number} / ${at(strides, i)}) % ${at(positions, i)})`;
    lines.push(`let p${suffix}_${i} = ${q} * ${at(attributes.strides, i)} - ${at(attributes.before, i)};`);
  }
  return lines.join('\n');
}

/** Code that sets \`place\` to the offset that the taps \`t0\`, \`t1\`, … meet, and \`met\` to whether it is inside x. */
function meet(convolution: Convolution, suffix: string): string {
  const { attributes, axes, x, places } = convolution;
  const lines = [`var met${suffix} = true;\nvar place${suffix} = start${suffix};`];
  for (const i of range(axes)) {
    const dilation = at(attributes.inputDilation, i);
    const name = `h${suffix}_${i}`;
    lines.push(`let ${name} = p${suffix}_${i} + t${i} * ${at(attributes.kernelDilation, i)};`);
    const tests = [`${name} >= 0`, `${name} < ${(at(places, i) - 1) * dilation + 1}`];
    if (dilation > 1) tests.push(`${name} % ${dilation} == 0`);
    lines.push(`met${suffix} = met${suffix} && ${tests.join(' && ')};`);
    lines.push(`place${suffix} += ${dilation > 1 ? `(${name} / ${dilation})` : name} * ${at(x.strides, 2 + i)};`);
  }
  return lines.join('\n');
}

const groupSize = 4;

export const isSmallConvolution = ({ out, inputs, taps }: Convolution): boolean =>
  sizeOf(out.shape) * inputs * sizeOf(taps) < fewMultiplications;

/** Each invocation makes up to eight channels at four neighbouring positions; see blocks.ts. Small ones, one element. */
export function convBlocks(convolution: Convolution, options: ContractionOptions): Kernel {
  const { out, x, w, attributes, axes, images, inputs, outputs, taps, positions } = convolution;
  const { groups } = attributes;
  const count = sizeOf(positions);
  const small = isSmallConvolution(convolution);
  const shader = new ContractionShader(out, options, small ? [1] : [count]);
  const { together } = shader;
  const type = typeOf(out.dtype);
  const high = small || outputs === 1 ? 1 : outputs > 4 ? 8 : 4;
  const wide = small ? 1 : 4;
  const vector = wide === 1 ? type : `vec4<${type}>`;
  const [tiles, columns] = [Math.ceil(outputs / high), Math.ceil((count * images) / wide)];
  const units = tiles * columns * groups;
  const each = (code: (j: number) => string): string[] => range(wide).map(code);
  const tap = range(axes).map((i) => `t${i} * ${at(w.strides, 2 + i)}`);
  const lines = [
    `let unit = group * ${groupSize} + local;\nif (unit >= ${units}) { return; }`,
    `let n = (unit % ${columns}) * ${wide};\nlet o = ((unit / ${columns}) % ${tiles}) * ${high};`,
    `let part = unit / ${columns * tiles};\nlet xStart = ${x.offset} + part * ${at(x.strides, 1) * inputs};`,
    ...each((j) => `let n${j} = min(n + ${j}, ${count * images - 1});\n${meetings(convolution, `n${j}`, `${j}`)}`),
    ...range(high).map((i) => {
      const channel = outputs % high === 0 ? `o + ${i}` : `min(o + ${i}, ${outputs - 1})`;
      return `let w${i} = ${w.offset} + (part * ${outputs} + ${channel}) * ${at(w.strides, 0)};`;
    }),
    ...range(high).map((i) => `var c${i} = ${vector}();`),
    ...range(axes).map((i) => `for (var t${i} = 0; t${i} < ${at(taps, i)}; t${i}++) {`),
    ...each((j) => meet(convolution, `${j}`)),
    `if (${each((j) => `met${j}`).join(' || ')}) {`,
    `let tap = ${tap.join(' + ') || '0'};`,
    ...each((j) => `let s${j} = select(0, xStart + place${j}, met${j});`),
    `let inside = ${vector}(${each((j) => `select(${type}(0), ${type}(1), met${j})`).join(', ')});`,
    `for (var i = 0; i < ${inputs}; i++) {\nlet xi = i * ${at(x.strides, 1)};\nlet wi = tap + i * ${at(w.strides, 1)};`,
    `let y = ${vector}(${each((j) => shader.load(x.from, `s${j} + xi`)).join(', ')}) * inside;`,
    ...range(high).map((i) => `c${i} += ${shader.load(w.from, `w${i} + wi`)} * y;`),
    '}\n}',
    ...range(axes).map(() => '}'),
    // A loop, since an epilogue is much code for a CPU's compiler.
    `var block = array<${vector}, ${high}>(${range(high)
      .map((i) => `c${i}`)
      .join(', ')});`,
    `for (var i = 0; i < ${outputs % high === 0 ? high : `min(${high}, ${outputs} - o)`}; i++) {\nlet made = block[i];`,
    ...range(wide / together).map((group) => {
      const j = group * together;
      const place = `(((image${j} * ${groups} + part) * ${outputs}) + o + i) * ${count} + n${j} % ${count}`;
      const elements = wide === 1 ? ['made'] : range(together).map((lane) => `made.${'xyzw'[j + lane]}`);
      return `if (n + ${j} < ${count * images}) { ${shader.storeResult(place, ...elements)} }`;
    }),
    '}',
  ];
  return shader.finish('conv', groupSize, Math.ceil(units / groupSize), lines.join('\n'));
}

/** An implicit product, tiled: channels are its rows, positions of all images its columns. */
export function convTiles(convolution: Convolution, options: ContractionOptions): Kernel {
  const { out, x, w, attributes, axes, images, inputs, outputs, taps, positions } = convolution;
  const count = sizeOf(positions);
  const shader = new ContractionShader(out, options, [count]);
  const tapCount = sizeOf(taps);
  const tapStrides = stridesOf(taps);
  const split = (k: string): string =>
    [
      `let channel = ${k} / ${tapCount};`,
      ...range(axes).map((i) => `let t${i} = (${k} / ${at(tapStrides, i)}) % ${at(taps, i)};`),
    ].join('\n');
  return tileKernel(shader, {
    label: 'conv',
    out,
    rows: outputs,
    columns: images * count,
    depth: inputs * tapCount,
    batches: attributes.groups,
    start: `let xStart = ${x.offset} + batch * ${at(x.strides, 1) * inputs};\nlet wStart = ${w.offset} + batch * ${at(w.strides, 0) * outputs};`,
    aRunsAlong: true,
    bRunsAcross: true,
    a: (row, k) => {
      const tap = range(axes).map((i) => ` + t${i} * ${at(w.strides, 2 + i)}`);
      return `${split(k)}\nelement = ${shader.load(w.from, `wStart + ${row} * ${at(w.strides, 0)} + channel * ${at(w.strides, 1)}${tap.join('')}`)};`;
    },
    b: (k, column) =>
      `${split(k)}\n${meetings(convolution, column, '')}\n${meet(convolution, '')}
if (met) { element = ${shader.load(x.from, `xStart + place + channel * ${at(x.strides, 1)}`)}; }`,
    together: shader.together,
    store: (row, column, ...elements) =>
      shader.storeResult(
        `((${column} / ${count} * ${attributes.groups} + batch) * ${outputs} + ${row}) * ${count} + ${column} % ${count}`,
        ...elements,
      ),
  });
}

import type { LoopKernel, Scalar, Stage } from '../../compiler/kernel.ts';
import { contiguousAlong } from '../../compiler/loops.ts';
import { at, flatten, keyOf, type Variable, variablesOf } from '../../compiler/position.ts';
import type { Value } from '../../compiler/program.ts';
import { allParts, partsOf, positionsOf } from '../../compiler/scalars.ts';
import { isHalf } from '../../dtype.ts';
import { stridesOf } from '../../shape.ts';
import { rounded } from './apply.ts';
import { Computed, computeScalar, type KernelContext, movablePosition } from './scalarCode.ts';
import { type Kernel, literal, narrow, Shader, typeOf } from './shader.ts';

export interface LoopOptions {
  /** Whether work is divided for a CPU that runs shaders, where barriers are dear. */
  readonly software: boolean;
  reportNumber(gather: Value): number;
}

const product = (loops: readonly Variable[]): number => loops.reduce((total, { size }) => total * size, 1);

/** What a kernel does, for people. */
function labelOf({ stages }: LoopKernel): string {
  const operators = stages.flatMap(({ scalar, kind }) => [
    ...[...allParts(scalar)].flatMap((part) => (part.kind === 'apply' ? [part.operator] : [])),
    ...(kind === 'map' ? [] : [kind]),
  ]);
  return operators.join(' ') || 'copy';
}

/** Compiles a kernel: an invocation for each element, or an invocation or a workgroup for each row that is reduced. */
export function loopKernel(kernel: LoopKernel, options: LoopOptions): Kernel {
  return kernel.stages.every(({ kind }) => kind === 'map') ? mapKernel(kernel, options) : rowKernel(kernel, options);
}

/** Sets loops to what a number stands for. */
function decode(number: string, loops: readonly Variable[], context: Pick<KernelContext, 'loops'>): string {
  let stride = 1;
  const lines = [...loops].reverse().map((one, i) => {
    const quotient = stride === 1 ? number : `${number} / ${stride}u`;
    stride *= Math.max(1, one.size);
    const isFirst = i === loops.length - 1;
    return `let ${context.loops.get(one)} = i32(${isFirst ? quotient : `${stride === one.size ? quotient : `(${quotient})`} % ${Math.max(1, one.size)}u`});\n`;
  });
  return lines.join('');
}

const nameLoops = (shader: Shader, loops: readonly Variable[]) => new Map(loops.map((one) => [one, shader.name()]));

/** Groups in which one invocation each does an element. */
const mapSize = 64;

function mapKernel(kernel: LoopKernel, { reportNumber }: LoopOptions): Kernel {
  const shader = new Shader();
  const all = [...kernel.outer, ...kernel.inner];
  const made = new Map<number, string>();
  const context: KernelContext = {
    shader,
    loops: nameLoops(shader, all),
    stage: (stage) => made.get(stage) as string,
    reportNumber,
  };
  const count = product(all);
  const inOrder = keyOf(flatten(all.map(at), stridesOf(all.map(({ size }) => size))));
  // An invocation that makes both halves of a word can store it as one.
  const paired = new Set(
    kernel.stages.flatMap(({ store, value }) =>
      store !== undefined && isHalf(value.dtype) && keyOf(store) === inOrder ? [value] : [],
    ),
  );
  for (const { store, value } of kernel.stages)
    if (store !== undefined && isHalf(value.dtype)) shader.buffer(value, paired.has(value) ? 'write' : 'atomic');
  const pairs = paired.size > 0;
  const words = new Map([...paired].map((value) => [value, shader.name()]));

  const computed = new Computed();
  const body = kernel.stages.map(({ scalar, store, value }, stage) => {
    const code = computeScalar(context, scalar, computed);
    const name = computed.get(scalar) as string;
    made.set(stage, name);
    if (store === undefined) return code;
    const word = words.get(value);
    if (word === undefined || !isHalf(value.dtype))
      return `${code}${shader.store(value, movablePosition(context, store), name)}\n`;
    return `${code}${word} |= ${narrow(value.dtype, name)} << (16u * lane);\n`;
  });
  const element = `${decode('element', all, context)}${body.join('')}`;
  const units = pairs ? Math.ceil(count / 2) : count;
  const guard = `let unit = u32(group * ${mapSize} + local);\nif (unit >= ${units}u) { return; }\n`;
  const text = pairs
    ? `${guard}${[...words.values()].map((word) => `var ${word} = 0u;\n`).join('')}for (var lane = 0u; lane < 2u; lane++) {
let element = unit * 2u + lane;
if (element >= ${count}u) { break; }
${element}}
${[...words].map(([value, word]) => `${shader.buffer(value, 'write')}[unit] = ${word};\n`).join('')}`
    : `${guard}let element = unit;\n${element}`;
  return shader.finish(labelOf(kernel), mapSize, Math.ceil(units / mapSize), text);
}

/** Rows up to this length are done by one invocation each. */
const shortRow = 48;
/** On a CPU, this many rows keep all cores busy without dividing a row. */
const manyRows = 16;

function rowKernel(kernel: LoopKernel, { software, reportNumber }: LoopOptions): Kernel {
  const shader = new Shader();
  const made = new Map<number, string>();
  const context: KernelContext = {
    shader,
    loops: nameLoops(shader, [...kernel.outer, ...kernel.inner]),
    stage: (stage) => made.get(stage) as string,
    reportNumber,
  };
  for (const { store, value } of kernel.stages) {
    if (store !== undefined) shader.buffer(value, isHalf(value.dtype) ? 'atomic' : 'write');
  }
  const [rows, length] = [product(kernel.outer), product(kernel.inner)];
  const alongOuter = contiguousAlong(kernel, kernel.outer.at(-1)) > contiguousAlong(kernel, kernel.inner.at(-1));
  const alone = length <= shortRow || (software && rows >= manyRows) || (alongOuter && rows >= 2048);
  const size = alone ? 64 : software || length < 1024 ? 64 : 256;
  const inner = new Set(kernel.inner);

  const dependsOn = new Map<Scalar, boolean>();
  /** Whether a scalar is the same for a whole walk over the inner loops. */
  const isSteady = (scalar: Scalar): boolean => {
    const known = dependsOn.get(scalar);
    if (known !== undefined) return known;
    const steady =
      !(scalar.kind === 'stage' && isInnerMap(kernel.stages[scalar.stage] as Stage)) &&
      !positionsOf(scalar).some((position) => [...variablesOf(position)].some((one) => inner.has(one))) &&
      partsOf(scalar).every(isSteady);
    dependsOn.set(scalar, steady);
    return steady;
  };
  /** Code for what can be computed before a walk. */
  const hoist = (scalar: Scalar, computed: Computed): string => {
    if (isSteady(scalar)) return computeScalar(context, scalar, computed);
    if (scalar.kind === 'masked') return '';
    return partsOf(scalar)
      .map((part) => hoist(part, computed))
      .join('');
  };
  const store = (stage: Stage, name: string): string =>
    stage.store === undefined ? '' : `${shader.store(stage.value, movablePosition(context, stage.store), name)}\n`;
  /** A store that one invocation of the row does. */
  const storeRow = (stage: Stage, name: string): string => {
    const code = store(stage, name);
    return alone || code === '' ? code : `if (local == 0) {\n${code}}\n`;
  };

  const walk = (pass: number, row: Computed): string => {
    const stages = kernel.stages
      .map((stage, index) => ({ stage, index }))
      .filter(({ stage }) => stage.pass === pass && (stage.over === 'inner' || stage.kind !== 'map'));
    if (stages.length === 0) return '';
    // Positions along an empty axis mean nothing.
    const empty = length === 0;
    const hoisted = empty ? '' : stages.map(({ stage }) => hoist(stage.scalar, row)).join('');
    const computed = new Computed(row);
    const starts: string[] = [];
    const ends: string[] = [];
    const body = stages.map(({ stage, index }) => {
      const code = empty ? '' : computeScalar(context, stage.scalar, computed);
      const name = computed.get(stage.scalar) ?? '';
      if (stage.kind === 'map') {
        made.set(index, name);
        return code + store(stage, name);
      }
      const total = new Total(shader, stage.kind, stage.value.dtype);
      starts.push(total.start());
      const result = shader.name();
      const joined = alone ? '' : total.join(size);
      ends.push(`${joined}let ${result} = ${rounded(stage.value.dtype, total.result())};\n${storeRow(stage, result)}`);
      made.set(index, result);
      return code + total.add(name);
    });
    const place = shader.name();
    const [from, step] = alone ? ['0u', '1u'] : ['localIndex', `${size}u`];
    if (empty) return starts.join('') + ends.join('');
    return `${hoisted}${starts.join('')}for (var ${place} = ${from}; ${place} < ${length}u; ${place} += ${step}) {
${decode(place, kernel.inner, context)}${body.join('')}}
${ends.join('')}`;
  };

  const row = new Computed();
  let code = '';
  const last = Math.max(...kernel.stages.map(({ pass }) => pass));
  for (let pass = -1; pass <= last; pass++) {
    if (pass >= 0) code += walk(pass, row);
    kernel.stages.forEach((stage, index) => {
      if (stage.pass !== pass || stage.kind !== 'map' || stage.over !== 'outer') return;
      code += computeScalar(context, stage.scalar, row);
      const name = row.get(stage.scalar) as string;
      made.set(index, name);
      code += storeRow(stage, name);
    });
  }
  const number = alone ? `u32(group * ${size} + local)` : 'u32(group)';
  const text = `let row = ${number};\nif (row >= ${rows}u) { return; }\n${decode('row', kernel.outer, context)}${code}`;
  return shader.finish(labelOf(kernel), size, alone ? Math.ceil(rows / size) : rows, text);
}

const isInnerMap = ({ kind, over }: Stage): boolean => kind === 'map' && over === 'inner';

/** The running result of a reduction. Sums of floats keep what their roundings lose. */
class Total {
  readonly #shader: Shader;
  readonly #kind: 'sum' | 'max';
  readonly #dtype: Value['dtype'];
  readonly #exact: boolean;
  readonly #name: string;

  constructor(shader: Shader, kind: 'sum' | 'max', dtype: Value['dtype']) {
    this.#shader = shader;
    this.#kind = kind;
    this.#dtype = dtype;
    this.#exact = kind === 'sum' && typeOf(dtype) === 'f32';
    this.#name = shader.name();
  }

  start(): string {
    const type = typeOf(this.#dtype);
    const least = type === 'i32' ? -2147483648 : type === 'f32' ? Number.NEGATIVE_INFINITY : 0;
    const first = this.#exact ? 'vec2f()' : literal(this.#shader, this.#dtype, this.#kind === 'sum' ? 0 : least);
    return `var ${this.#name} = ${first};\n`;
  }

  add(element: string): string {
    const sum = this.#exact ? `addExactly(${this.#name}, ${element})` : this.#combine(this.#name, element);
    return `${this.#name} = ${sum};\n`;
  }

  /** Joins what the invocations of a workgroup have; afterwards each has the result. */
  join(size: number): string {
    const shared = this.#shader.name();
    const type = this.#exact ? 'vec2f' : typeOf(this.#dtype);
    this.#shader.declare(`var<workgroup> ${shared}: array<${type}, ${size}>;`);
    const [a, b] = [`${shared}[local]`, `${shared}[local + half]`];
    const joined = this.#exact ? `joinSums(${a}, ${b})` : this.#combine(a, b);
    return `${shared}[local] = ${this.#name};
workgroupBarrier();
for (var half = ${size / 2}; half > 0; half /= 2) {
if (local < half) { ${a} = ${joined}; }
workgroupBarrier();
}
${this.#name} = ${shared}[0];
workgroupBarrier();
`;
  }

  result(): string {
    return this.#exact ? `sumOf(${this.#name})` : this.#name;
  }

  #combine(a: string, b: string): string {
    if (typeOf(this.#dtype) === 'bool') return `(${a} || ${b})`;
    return this.#kind === 'max' ? `max(${a}, ${b})` : `(${a} + ${b})`;
  }
}

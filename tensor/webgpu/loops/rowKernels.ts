import { describeLoops } from '../../compiler/describe.ts';
import { iterations } from '../../compiler/iterations.ts';
import type { LoopKernel, Scalar, Stage } from '../../compiler/kernel.ts';
import { contiguousAlong } from '../../compiler/loops.ts';
import { variablesOf } from '../../compiler/position.ts';
import { partsOf, positionsOf } from '../../compiler/scalars.ts';
import { rounded } from '../wgsl/apply.ts';
import { type Kernel, type Scratch, Shader } from '../wgsl/shader.ts';
import { LaneCode } from './laneCode.ts';
import { Lanes } from './lanes.ts';
import { decode, type LoopOptions, nameLoops } from './loops.ts';
import { Computed, computeScalar, type KernelContext, movablePosition } from './scalarCode.ts';
import { Total } from './total.ts';

/** Rows up to this length are done by one invocation each. */
const shortRow = 48;
/** On a CPU, this many rows keep all cores busy without dividing a row. */
const manyRows = 16;

/**
 * How rows are divided: among invocations or workgroups, each of which does one row or one of the `parts` of a row.
 * What the parts of a row add up to is added up by a second kernel, always in the same order.
 */
interface Division {
  /** Whether an invocation does its row, or part, alone; else a workgroup does. */
  readonly alone: boolean;
  readonly size: number;
  readonly parts: number;
}

type Role = 'whole' | 'part' | 'join';

/** The kernels that reduce rows. */
export function rowKernels(kernel: LoopKernel, options: LoopOptions): Kernel[] {
  const division = divide(kernel, options);
  const totals = new Map<Stage, Scratch>();
  if (division.parts === 1) return [rowKernel(kernel, options, division, 'whole', totals)];
  const rows = iterations(kernel.outer);
  for (const stage of kernel.stages) {
    if (stage.kind === 'map') continue;
    const bytes = rows * division.parts * Total.bytesOf(stage.kind, stage.value.dtype);
    totals.set(stage, { kind: 'scratch', bytes });
  }
  return [
    rowKernel(kernel, options, division, 'part', totals),
    rowKernel(kernel, options, { ...division, alone: true, size: 64 }, 'join', totals),
  ];
}

function divide(kernel: LoopKernel, { software }: LoopOptions): Division {
  const [rows, length] = [iterations(kernel.outer), iterations(kernel.inner)];
  const inOneWalk = kernel.stages.every(({ pass }) => pass < 1);
  if (software) {
    if (rows >= manyRows || length <= shortRow) return { alone: true, size: 64, parts: 1 };
    if (inOneWalk && length >= 4096) return { alone: true, size: 4, parts: 64 };
    return { alone: false, size: 64, parts: 1 };
  }
  const alongOuter = contiguousAlong(kernel, kernel.outer.at(-1)) > contiguousAlong(kernel, kernel.inner.at(-1));
  if (length <= shortRow || (alongOuter && rows >= 2048)) return { alone: true, size: 64, parts: 1 };
  if (length < 1024) return { alone: false, size: 64, parts: 1 };
  // As many groups as a large GPU has room for, each with eight elements or more for an invocation.
  const parts = inOneWalk ? Math.min(Math.floor(1024 / rows), Math.floor(length / 2048)) : 1;
  return { alone: false, size: 256, parts: Math.max(1, parts) };
}

/** Which elements of a row an invocation does: those of a stretch, or every so many, so that neighbours are read together. */
function stretchOf(
  length: number,
  lanes: number,
  { alone, size, parts }: Division,
): { from: string; to: string; by: number } {
  const to = `${length}u`;
  const part = `unit % ${parts}u`;
  if (alone) {
    if (parts === 1) return { from: '0u', to, by: lanes };
    const stretch = Math.ceil(length / parts / lanes) * lanes;
    return { from: `(${part}) * ${stretch}u`, to: `min((${part} + 1u) * ${stretch}u, ${to})`, by: lanes };
  }
  const first = parts === 1 ? 'localIndex' : `(localIndex + ${part} * ${size}u)`;
  return { from: `${first} * ${lanes}u`, to, by: parts * size * lanes };
}

function rowKernel(
  kernel: LoopKernel,
  { traits, reportNumber }: LoopOptions,
  { alone, size, parts }: Division,
  role: Role,
  totals: ReadonlyMap<Stage, Scratch>,
): Kernel {
  const shader = new Shader(traits);
  const isAlong = (stage: number): boolean => isInnerMap(kernel.stages[stage] as Stage);
  const lanes = Lanes.choose(shader, kernel.stages, kernel.inner.at(-1), { most: alone ? 8 : 4, isAlong });
  const made = new Map<number, string>();
  const madeInLanes = new Map<number, readonly string[]>();
  const context: KernelContext = {
    shader,
    loops: nameLoops(shader, [...kernel.outer, ...kernel.inner]),
    stage: (stage) => made.get(stage) as string,
    reportNumber,
  };
  /** Whether this kernel stores what a stage makes: a map along the row where its parts are walked, else at the end. */
  const isStored = (stage: Stage): boolean =>
    stage.store !== undefined && (role === 'whole' || isInnerMap(stage) === (role === 'part'));
  for (const stage of kernel.stages) if (isStored(stage)) shader.prepareStore(stage.value);
  const [rows, length] = [iterations(kernel.outer), iterations(kernel.inner)];
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
  /** A store that one invocation of the row does. */
  const storeRow = (stage: Stage, name: string): string => {
    if (stage.store === undefined || !isStored(stage)) return '';
    const code = `${shader.store(stage.value, movablePosition(context, stage.store), name)}\n`;
    return alone ? code : `if (local == 0) {\n${code}}\n`;
  };
  /** What a reduction ends with: its result, or that of a part in the place of that part. */
  const end = (stage: Stage, index: number, total: Total): string => {
    const joined = alone ? '' : total.join(size);
    const kept = totals.get(stage);
    if (role === 'part' && kept !== undefined)
      return `${joined}${alone ? '' : 'if (local == 0) '}{ ${total.keep(kept, 'unit')} }\n`;
    const result = shader.name();
    made.set(index, result);
    return `${joined}let ${result} = ${rounded(stage.value.dtype, total.result())};\n${storeRow(stage, result)}`;
  };
  /** Adds up what the parts of the row have come to. */
  const joinParts = (): string => {
    const reductions = kernel.stages.flatMap((stage, index) => {
      const kept = totals.get(stage);
      return kept === undefined
        ? []
        : [{ stage, index, kept, total: new Total(shader, stage.kind, stage.value.dtype) }];
    });
    const starts = reductions.map(({ total }) => total.start());
    const joins = reductions.map(({ total, kept }) => total.addKept(kept, 'part'));
    const loop = `for (var part = unit * ${parts}u; part < (unit + 1u) * ${parts}u; part++) {\n${joins.join('')}}\n`;
    return `${starts.join('')}${loop}${reductions.map(({ stage, index, total }) => end(stage, index, total)).join('')}`;
  };

  const walk = (pass: number, row: Computed): string => {
    const stages = kernel.stages
      .map((stage, index) => ({ stage, index }))
      .filter(({ stage }) => stage.pass === pass && (stage.over === 'inner' || stage.kind !== 'map'));
    if (stages.length === 0) return '';
    if (role === 'join') return joinParts();
    // Positions along an empty axis mean nothing.
    const empty = length === 0;
    const hoisted = empty ? '' : stages.map(({ stage }) => hoist(stage.scalar, row)).join('');
    const step = LaneCode.at(lanes, context, madeInLanes, row);
    const starts: string[] = [];
    const ends: string[] = [];
    const body = stages.map(({ stage, index }) => {
      const code = empty ? '' : step.code.compute(stage.scalar);
      const names = empty ? [] : step.code.names(stage.scalar);
      if (stage.kind === 'map') {
        madeInLanes.set(index, names);
        const { store } = stage;
        return store === undefined || !isStored(stage) ? code : code + step.code.store(stage.value, store, names);
      }
      const total = new Total(shader, stage.kind, stage.value.dtype);
      starts.push(total.start());
      ends.push(end(stage, index, total));
      return code + names.map((name) => total.add(name)).join('');
    });
    if (empty) return starts.join('') + ends.join('');
    const place = shader.name();
    const { from, to, by } = stretchOf(length, lanes.count, { alone, size, parts });
    return `${hoisted}${starts.join('')}for (var ${place} = ${from}; ${place} < ${to}; ${place} += ${by}u) {
${decode(place, kernel.inner, context)}${step.start}${body.join('')}}
${ends.join('')}`;
  };

  const row = new Computed();
  let code = '';
  const last = role === 'part' ? 0 : Math.max(...kernel.stages.map(({ pass }) => pass));
  for (let pass = -1; pass <= last; pass++) {
    if (pass >= 0) code += walk(pass, row);
    if (role === 'part' && pass === 0) break;
    kernel.stages.forEach((stage, index) => {
      if (stage.pass !== pass || stage.kind !== 'map' || stage.over !== 'outer') return;
      code += computeScalar(context, stage.scalar, row);
      const name = row.get(stage.scalar) as string;
      made.set(index, name);
      code += storeRow(stage, name);
    });
  }
  const units = role === 'part' ? rows * parts : rows;
  const number = alone ? `u32(group * ${size} + local)` : 'u32(group)';
  const rowNumber = role === 'part' ? `unit / ${parts}u` : 'unit';
  const text = `let unit = ${number};\nif (unit >= ${units}u) { return; }
let row = ${rowNumber};\n${decode('row', kernel.outer, context)}${code}`;
  return shader.finish(describeLoops(kernel), size, alone ? Math.ceil(units / size) : units, text);
}

const isInnerMap = ({ kind, over }: Stage): boolean => kind === 'map' && over === 'inner';

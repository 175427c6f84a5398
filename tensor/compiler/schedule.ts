import type { Attributes } from '../primitives.ts';
import { sizeOf, stridesOf } from '../shape.ts';
import { chooseBuffers, isReduction, isStep, joinsMany } from './buffers.ts';
import type { LoopKernel, Scalar, Stage } from './kernel.ts';
import { define, type Lowering, lowering } from './lower.ts';
import {
  add,
  at,
  fixed,
  flatten,
  type Position,
  samePosition,
  unflatten,
  type Variable,
  variable,
} from './position.ts';
import type { Program, Value } from './program.ts';
import { allParts, loadsOf } from './scalars.ts';

/** A value that is computed by a step of its own, from memory to memory. */
export interface Step {
  readonly kind: 'step';
  readonly value: Value;
}

export interface Schedule {
  readonly buffers: ReadonlySet<Value>;
  readonly kernels: readonly (LoopKernel | Step)[];
}

export interface ScheduleOptions {
  /** How many different buffers one kernel may load. */
  readonly mostLoads: number;
  /** Whether operators share kernels (the default); without, each has its own, which helps to find a wrong one. */
  readonly fuse?: boolean;
  /** Whether contractions in f32 read halves themselves, where they would read a copy of them in f32. */
  readonly widening?: boolean;
}

/** A kernel under construction. */
interface Group {
  /** The shape that is walked; axes from `split` on are the inner loops. A map without reductions has split 0. */
  shape: readonly number[];
  split: number;
  /** For reductions whose axes are not the last: the order in which the axes of `shape` are walked. */
  readonly values: Value[];
  readonly reads: Set<Value>;
  readonly step: boolean;
  /** What its values are at the place where its loops are; made when another value asks to join. */
  walk?: Walk;
  /** For a join of many, the piece that this kernel copies, and where along the axis it begins. */
  readonly piece?: { readonly from: Value; readonly start: number };
}

/** A group's values, lowered in one set of loops. */
interface Walk {
  readonly loops: Loops;
  readonly element: Lowering;
  /** Whether the group reduces, on which its values' positions depend, as they do on its shape. */
  readonly reducing: boolean;
  /** Where each value has just been made. */
  readonly made: Map<Value, Position>;
}

/** Rows shorter than this are not worth a loop of their own inside a row kernel. */
const shortestRow = 16;
/** Fewer rows than this do not keep several threads busy, so long ones are not turned into row kernels. */
const fewRows = 8;
const longRow = 16384;

const product = sizeOf;

/** Orders a program into kernels and says what each computes. */
export function schedule(program: Program, { mostLoads, fuse = true, widening = false }: ScheduleOptions): Schedule {
  const buffers = fuse ? chooseBuffers(program, mostLoads, widening) : new Set(program.values);
  const needs = dependencies(program, buffers);
  const groups: Group[] = [];
  const madeBy = new Map<Value, number>();

  for (const value of program.values) {
    if (!buffers.has(value) || value.primitive === 'leaf' || sizeOf(value.shape) === 0) continue;
    if (joinsMany(value)) {
      const { axis } = value.attributes as Attributes['concat'];
      let start = 0;
      for (const from of value.inputs) {
        const piece = { from, start };
        if (sizeOf(from.shape) > 0)
          groups.push({ shape: from.shape, split: 0, values: [value], reads: new Set(), step: false, piece });
        start += from.shape[axis] as number;
      }
      madeBy.set(value, groups.length - 1);
      continue;
    }
    const required = [...(needs.get(value) ?? [])];
    const earliest = Math.max(-1, ...required.map((input) => madeBy.get(input) ?? -1));
    const space = spaceOf(value);
    let joined = -1;
    for (let i = groups.length - 1; i >= Math.max(earliest, 0, groups.length - 12) && joined < 0; i--) {
      const group = groups[i] as Group;
      const related = i === earliest || required.some((input) => group.reads.has(input));
      if (!fuse || !related || space === undefined) continue;
      const walk = joinedWalk(group, value, space, buffers, mostLoads, required);
      if (walk === undefined) continue;
      group.walk = walk;
      joined = i;
    }
    if (joined < 0) {
      joined = groups.length;
      groups.push({
        shape: space?.shape ?? value.shape,
        split: space?.reduces ? space.split : 0,
        values: [],
        reads: new Set(),
        step: isStep(value),
      });
    }
    const group = groups[joined] as Group;
    if (space?.reduces && group.values.every((other) => !isReduction(other))) {
      group.shape = space.shape;
      group.split = space.split;
    }
    group.values.push(value);
    for (const input of required) if (madeBy.get(input) !== joined) group.reads.add(input);
    madeBy.set(value, joined);
  }

  const outputs = new Set(program.outputs);
  const readers = new Map<Value, Set<number>>();
  for (const value of program.values) {
    if (!madeBy.has(value)) continue;
    for (const input of needs.get(value) ?? []) {
      const set = readers.get(input) ?? new Set<number>();
      readers.set(input, set.add(madeBy.get(value) as number));
    }
  }
  const escapes = (value: Value, group: number): boolean =>
    outputs.has(value) || [...(readers.get(value) ?? [])].some((reader) => reader !== group);
  return {
    buffers,
    kernels: groups.map((group, i) =>
      group.step
        ? { kind: 'step', value: group.values[0] as Value }
        : buildKernel(group, buffers, (value) => escapes(value, i)),
    ),
  };
}

/** For every value with a buffer, the values with buffers that it is computed from, or that a barrier puts before it. */
function dependencies(program: Program, buffers: ReadonlySet<Value>): Map<Value, Set<Value>> {
  const below = new Map<Value, Set<Value>>();
  for (const value of program.values) {
    const set = new Set<Value>();
    for (const input of value.inputs) {
      if (buffers.has(input)) set.add(input);
      else for (const other of below.get(input) ?? []) set.add(other);
    }
    below.set(value, set);
  }
  return below;
}

/** The places that a value is computed over: its own elements, or for a reduction those of its input, kept axes first. */
function spaceOf(
  value: Value,
): { shape: readonly number[]; split: number; reduces: boolean; trailing: boolean } | undefined {
  if (isStep(value)) return undefined;
  if (!isReduction(value)) return { shape: value.shape, split: 0, reduces: false, trailing: false };
  const [x] = value.inputs as readonly [Value];
  const { axes } = value.attributes as Attributes['sum'];
  const kept = x.shape.flatMap((size, axis) => (axes.includes(axis) ? [] : [size]));
  const reduced = axes.map((axis) => x.shape[axis] as number);
  // Only whether longer axes are the last ones matters: those of size 1 can be anywhere.
  const wide = x.shape.flatMap((size, axis) => (size > 1 ? [axes.includes(axis)] : []));
  const trailing = wide.every((isReduced, i) => !isReduced || wide.slice(i).every(Boolean));
  return { shape: [...kept, ...reduced], split: kept.length, reduces: true, trailing };
}

/** Where a group's values are made if a value joins them, or `undefined` where it cannot. */
function joinedWalk(
  group: Group,
  value: Value,
  space: NonNullable<ReturnType<typeof spaceOf>>,
  buffers: ReadonlySet<Value>,
  mostLoads: number,
  required: readonly Value[],
): Walk | undefined {
  if (group.step || group.piece !== undefined) return undefined;
  const reads = new Set([...group.reads, ...required.filter((input) => !group.values.includes(input))]);
  if (reads.size + group.values.length + 1 > mostLoads) return undefined;
  const reducing = group.values.some(isReduction);
  const rows = product(group.shape.slice(0, group.split));
  const length = product(group.shape.slice(group.split));
  if (space.reduces) {
    const [ownRows, ownLength] = [product(space.shape.slice(0, space.split)), product(space.shape.slice(space.split))];
    if (!space.trailing || ownLength < shortestRow || (ownRows < fewRows && ownLength > longRow)) return undefined;
    if (reducing ? rows !== ownRows || length !== ownLength : rows * length !== ownRows * ownLength) return undefined;
    if (reducing && !group.values.every((other) => !isReduction(other) || spaceOf(other)?.trailing)) return undefined;
  } else {
    const size = product(value.shape);
    if (!reducing && size !== rows * length) return undefined;
    if (reducing && size !== rows && size !== rows * length) return undefined;
    if (reducing && !group.values.every((other) => !isReduction(other) || spaceOf(other)?.trailing)) {
      // Rows of such a reduction are not rows of memory; only what follows it row by row can join.
      if (size !== rows) return undefined;
    }
    if (
      reducing &&
      size === rows * length &&
      size !== rows &&
      (length < shortestRow || (rows < fewRows && length > longRow))
    )
      return undefined;
  }
  const shape = space.reduces ? space.shape : group.shape;
  const split = space.reduces ? space.split : group.split;
  const trial: Group = { ...group, shape, split, values: [...group.values, value] };
  const { walk } = group;
  const reduces = trial.values.some(isReduction);
  const fits =
    walk !== undefined && walk.reducing === reduces && shape.join() === group.shape.join() && split === group.split;
  if (fits) return makeLocally(walk, trial, value) ? walk : undefined;
  const again: Walk = {
    loops: loopsOf(trial),
    element: lowering((other) => buffers.has(other)),
    reducing: reduces,
    made: new Map(),
  };
  return trial.values.every((own) => makeLocally(again, trial, own)) ? again : undefined;
}

/**
 * Adds a value to those that a walk makes, if every load of one of them is at the very place where it has just been made;
 * says whether it is.
 */
function makeLocally({ loops, element, made }: Walk, group: Group, value: Value): boolean {
  const { scalar, position } = lowerValue(group, loops, value, element);
  for (const load of loadsOf(scalar)) {
    const place = made.get(load.from);
    if (place !== undefined && (load.kind !== 'load' || !samePosition(load.position, place))) return false;
  }
  // Masked parts may be computed lane by lane, where what another stage holds in a vector cannot be reached.
  for (const part of allParts(scalar)) {
    if (part.kind === 'masked' && loadsOf(part).some((load) => made.has(load.from))) return false;
  }
  made.set(value, position);
  return true;
}

interface Loops {
  readonly all: readonly Variable[];
  readonly outer: readonly Variable[];
  readonly inner: readonly Variable[];
}

function loopsOf(group: Group): Loops {
  const all = group.shape.map((size) => variable(size));
  return { all, outer: all.slice(0, group.split), inner: all.slice(group.split) };
}

/** What a value is at the current place of the loops, over which of them, and where it is stored. */
function lowerValue(
  group: Group,
  loops: Loops,
  value: Value,
  element: Lowering,
): { scalar: Scalar; position: Position; over: 'outer' | 'inner' } {
  const rows = flatten(loops.outer.map(at), stridesOf(group.shape.slice(0, group.split)));
  if (isReduction(value)) {
    const [x] = value.inputs as readonly [Value];
    const { axes } = value.attributes as Attributes['sum'];
    const own = spaceOf(value) as NonNullable<ReturnType<typeof spaceOf>>;
    if (own.trailing) {
      const places = flatten(loops.all.map(at), stridesOf(group.shape));
      return { scalar: element(x, unflatten(places, x.shape)), position: rows, over: 'outer' };
    }
    let [kept, reduced] = [0, group.split];
    const coordinates = x.shape.map((_, axis) => at(loops.all[axes.includes(axis) ? reduced++ : kept++] as Variable));
    return { scalar: element(x, coordinates), position: rows, over: 'outer' };
  }
  const reducing = group.values.some(isReduction);
  const perRow = reducing && sizeOf(value.shape) === sizeOf(group.shape.slice(0, group.split));
  const position = perRow ? rows : flatten(loops.all.map(at), stridesOf(group.shape));
  const scalar = define(value, unflatten(position, value.shape), element);
  return { scalar, position, over: perRow ? 'outer' : 'inner' };
}

/** Copies one piece of a join to its place. */
function copyKernel(
  value: Value,
  { from, start }: NonNullable<Group['piece']>,
  buffers: ReadonlySet<Value>,
): LoopKernel {
  const { axis } = value.attributes as Attributes['concat'];
  const inner = from.shape.map((size) => variable(size));
  const coordinates = inner.map(at);
  const scalar = lowering((other) => buffers.has(other))(from, coordinates);
  const place = coordinates.map((coordinate, i) => (i === axis ? add(coordinate, fixed(start)) : coordinate));
  const store = flatten(place, stridesOf(value.shape));
  return { kind: 'loops', outer: [], inner, stages: [{ value, kind: 'map', scalar, over: 'inner', pass: 0, store }] };
}

function buildKernel(group: Group, buffers: ReadonlySet<Value>, escapes: (value: Value) => boolean): LoopKernel {
  if (group.piece !== undefined) return copyKernel(group.values[0] as Value, group.piece, buffers);
  const loops = loopsOf(group);
  const stages: Stage[] = [];
  /** Values made in an earlier walk, which a later one must find in memory. */
  const reloaded = new Set<Value>();
  for (const value of group.values) {
    // The walk that a stage belongs to depends on the stages that it uses, and how it reaches them on that walk.
    const build = (pass: number) => {
      const used: Stage[] = [];
      const element = lowering(
        (other) => buffers.has(other),
        (other) => {
          const index = stages.findIndex((stage) => stage.value === other);
          const stage = stages[index];
          if (stage === undefined) return undefined;
          used.push(stage);
          if (stage.kind === 'map' && stage.over === 'inner' && stage.pass < pass) return undefined;
          return { kind: 'stage', stage: index, dtype: other.dtype };
        },
      );
      return { ...lowerValue(group, loops, value, element), used };
    };
    const first = build(0);
    const { used, over } = first;
    const kind = value.primitive === 'sum' || value.primitive === 'max' ? value.primitive : 'map';
    const walks = kind !== 'map' || over === 'inner';
    const needed = used.map((stage) => (stage.over === 'inner' && stage.kind === 'map' ? stage.pass : stage.pass + 1));
    const pass = walks ? Math.max(0, ...needed) : Math.max(-1, ...used.map((stage) => stage.pass));
    const { scalar, position } = pass <= 0 ? first : build(pass);
    for (const stage of used)
      if (stage.kind === 'map' && stage.over === 'inner' && stage.pass < pass) reloaded.add(stage.value);
    stages.push({ value, kind, scalar, over, pass, store: position });
  }
  return {
    kind: 'loops',
    outer: loops.outer,
    inner: loops.inner,
    stages: stages.map((stage) =>
      escapes(stage.value) || reloaded.has(stage.value) ? stage : { ...stage, store: undefined },
    ),
  };
}

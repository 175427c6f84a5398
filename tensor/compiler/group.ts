import type { Attributes } from '../primitives.ts';
import { sizeOf, stridesOf } from '../shape.ts';
import type { LoopKernel, Scalar, Stage } from './kernel.ts';
import { define, type Loads, type Lowering, lowering } from './lower.ts';
import { add, at, fixed, flatten, type Position, unflatten, type Variable, variable } from './position.ts';
import { isReduction, isStep } from './primitiveKinds.ts';
import type { Value } from './program.ts';

/** Values that become one kernel. */
export interface Group {
  /** The shape of the loops. Axes before `split` are outer loops, the others inner ones; without reductions `split` is 0. */
  shape: readonly number[];
  split: number;
  readonly values: Value[];
  reads: readonly Value[];
  readonly step: boolean;
  /** Set if the kernel copies one piece of a concat: the piece, and where it begins along the axis. */
  readonly piece?: { readonly from: Value; readonly start: number };
}

/** The iteration space of a value. */
export interface Space {
  readonly shape: readonly number[];
  /** The number of axes that a reduction keeps; they come first in `shape`. */
  readonly split: number;
  readonly reduces: boolean;
  /** Whether the reduced axes are the last axes of the input. */
  readonly trailing: boolean;
}

/** The elements of a value, or for a reduction those of its input, kept axes first; `undefined` for steps. */
export function spaceOf(value: Value): Space | undefined {
  if (isStep(value)) return undefined;
  if (!isReduction(value)) return { shape: value.shape, split: 0, reduces: false, trailing: false };
  const [x] = value.inputs as readonly [Value];
  const { axes } = value.attributes as Attributes['sum'];
  const kept = x.shape.flatMap((size, axis) => (axes.includes(axis) ? [] : [size]));
  const reduced = axes.map((axis) => x.shape[axis] as number);
  // Axes of size 1 do not matter: they can be anywhere.
  const wide = x.shape.flatMap((size, axis) => (size > 1 ? [axes.includes(axis)] : []));
  const trailing = wide.every((isReduced, i) => !isReduced || wide.slice(i).every(Boolean));
  return { shape: [...kept, ...reduced], split: kept.length, reduces: true, trailing };
}

/** The loops of a group; `all` are the outer ones followed by the inner ones. */
export interface Loops {
  readonly all: readonly Variable[];
  readonly outer: readonly Variable[];
  readonly inner: readonly Variable[];
}

export function loopsOf(group: Group): Loops {
  const all = group.shape.map((size) => variable(size));
  return { all, outer: all.slice(0, group.split), inner: all.slice(group.split) };
}

/** A value's element at the current iteration, the loops that it varies with, and the position where it is stored. */
export function lowerValue(
  group: Group,
  loops: Loops,
  value: Value,
  element: Lowering,
): { scalar: Scalar; position: Position; over: 'outer' | 'inner' } {
  const rows = flatten(loops.outer.map(at), stridesOf(group.shape.slice(0, group.split)));
  if (isReduction(value)) {
    const [x] = value.inputs as readonly [Value];
    const { axes } = value.attributes as Attributes['sum'];
    const own = spaceOf(value) as Space;
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

/** Copies one piece of a concat to its place. */
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

/** The loops and stages of a group. `escapes` tells which of its values are outputs or read by other kernels. */
export function buildKernel(group: Group, buffers: ReadonlySet<Value>, escapes: (value: Value) => boolean): LoopKernel {
  if (group.piece !== undefined) return copyKernel(group.values[0] as Value, group.piece, buffers);
  const loops = loopsOf(group);
  const stages: Stage[] = [];
  const loads: Loads = new Map();
  /** Values that one walk computes and a later one loads from memory. */
  const reloaded = new Set<Value>();
  for (const value of group.values) {
    // The walk of a stage depends on the stages that it uses; whether it can use them directly depends on its walk.
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
        loads,
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

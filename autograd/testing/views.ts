import fc from 'fast-check';
import {
  broadcastTo,
  type DType,
  flip,
  permute,
  reshape,
  type Shape,
  sizeOf,
  slice,
  type Tensor,
  tensor,
  unsqueeze,
} from '../../tensor/index.ts';
import { type ShapeOptions, shapes } from './shapes.ts';
import { elements, type ValueOptions } from './tensors.ts';

/** A tensor made by movement operators, and its expected elements. */
export interface View {
  readonly tensor: Tensor;
  /** The expected elements in row-major order, computed without the operators. */
  readonly values: readonly number[];
}

/** Options of `views`. */
export interface ViewOptions extends ShapeOptions, ValueOptions {
  /** Default f64. */
  readonly dtype?: DType;
  /** The largest number of movement operators; default 4. */
  readonly maxSteps?: number;
}

/** An array on the host. */
interface Host {
  readonly shape: Shape;
  readonly values: readonly number[];
}

/** The array whose element at an index is the element of `from` at `source(index)`. */
function rearranged(from: Host, shape: Shape, source: (index: readonly number[]) => readonly number[]): Host {
  const values = Array.from({ length: sizeOf(shape) }, (_, position) => {
    let rest = position;
    const index = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % (shape[axis] as number);
      rest = Math.floor(rest / (shape[axis] as number));
    }
    const at = source(index).reduce((offset, i, axis) => offset * (from.shape[axis] as number) + i, 0);
    return from.values[at] as number;
  });
  return { shape, values };
}

interface State {
  readonly tensor: Tensor;
  readonly host: Host;
  readonly code: string;
}

/** Applies one movement; `pick(count)` gives the parameters, each a number from 0 to count − 1. */
type Movement = (state: State, pick: (count: number) => number) => State;

const movements: Readonly<Record<string, Movement>> = {
  permute({ tensor, host, code }, pick) {
    const left = host.shape.map((_, axis) => axis);
    const axes = host.shape.map(() => left.splice(pick(left.length), 1)[0] as number);
    const shape = axes.map((axis) => host.shape[axis] as number);
    return {
      tensor: permute(tensor, axes),
      host: rearranged(host, shape, (index) => host.shape.map((_, axis) => index[axes.indexOf(axis)] as number)),
      code: `permute(${code}, [${axes}])`,
    };
  },
  flip({ tensor, host, code }, pick) {
    const axes = host.shape.flatMap((_, axis) => (pick(2) === 0 ? [axis] : []));
    return {
      tensor: flip(tensor, axes),
      host: rearranged(host, host.shape, (index) =>
        index.map((i, axis) => (axes.includes(axis) ? (host.shape[axis] as number) - 1 - i : i)),
      ),
      code: `flip(${code}, [${axes}])`,
    };
  },
  slice({ tensor, host, code }, pick) {
    const ranges = host.shape.map((size) => {
      const step = ([1, 2, 3, -1, -2] as const)[pick(5)] as number;
      const length = pick(Math.ceil(size / Math.abs(step)) + 1);
      if (length === 0) return { start: 0, stop: 0, step: 1, length };
      const reach = (length - 1) * Math.abs(step) + 1;
      const offset = pick(size - reach + 1);
      if (step > 0) return { start: offset, stop: offset + reach, step, length };
      const last = size - offset - reach;
      // With a negative step, only `undefined` stops after the first element.
      return { start: size - 1 - offset, stop: last > 0 ? last - 1 : undefined, step, length };
    });
    const starts = ranges.map(({ start }) => start);
    const stops = ranges.map(({ stop }) => stop);
    const steps = ranges.map(({ step }) => step);
    return {
      tensor: slice(tensor, starts, stops, steps),
      host: rearranged(
        host,
        ranges.map(({ length }) => length),
        (index) => index.map((i, axis) => (starts[axis] as number) + i * (steps[axis] as number)),
      ),
      code: `slice(${code}, [${starts}], [${stops.map(String)}], [${steps}])`,
    };
  },
  broadcast({ tensor, host, code }, pick) {
    const axis = pick(host.shape.length + 1);
    const count = 1 + pick(3);
    const shape = [...host.shape.slice(0, axis), count, ...host.shape.slice(axis)];
    return {
      tensor: broadcastTo(unsqueeze(tensor, axis), shape),
      host: rearranged(host, shape, (index) => index.filter((_, i) => i !== axis)),
      code: `broadcastTo(unsqueeze(${code}, ${axis}), [${shape}])`,
    };
  },
  reshape({ tensor, host, code }, pick) {
    const axis = pick(Math.max(1, host.shape.length - 1));
    const [first = 1, second = 1] = host.shape.slice(axis, axis + 2);
    const shape = [...host.shape.slice(0, axis), first * second, ...host.shape.slice(axis + 2)];
    return { tensor: reshape(tensor, shape), host: { ...host, shape }, code: `reshape(${code}, [${shape}])` };
  },
};

/**
 * Tensors that random operators permute, flip, slice with steps of either sign, broadcast and reshape, with their expected
 * elements. fast-check prints them as code. Shrinks towards fewer movements.
 *
 * ```ts
 * await fc.assert(
 *   fc.asyncProperty(views(), async ({ tensor, values }) => expect([...(await read(tensor))]).toEqual(values)),
 * );
 * ```
 */
export function views(options: ViewOptions = {}): fc.Arbitrary<View> {
  const { dtype = 'f64', maxSteps = 4, maxElements = 64 } = options;
  const step = fc.record({
    name: fc.constantFrom(...Object.keys(movements)),
    picks: fc.array(fc.nat({ max: 60 }), { maxLength: 12 }),
  });
  const base = shapes({ maxRank: 3, minSize: 0, ...options, maxElements: Math.min(24, maxElements) });
  return base
    .chain((shape) =>
      fc.tuple(fc.constant(shape), elements(sizeOf(shape), dtype, options), fc.array(step, { maxLength: maxSteps })),
    )
    .map(([shape, values, steps]) => {
      const start = tensor(values, { shape, dtype });
      let state: State = { tensor: start, host: { shape, values }, code: `tensor([${values}], { shape: [${shape}] })` };
      for (const { name, picks } of steps) {
        const rest = [...picks];
        const next = (movements[name] as Movement)(state, (count) => (count > 0 ? (rest.shift() ?? 0) % count : 0));
        if (sizeOf(next.host.shape) <= maxElements) state = next;
      }
      const { code, host } = state;
      return Object.defineProperty({ tensor: state.tensor, values: host.values }, fc.toStringMethod, {
        value: () => code,
      });
    });
}

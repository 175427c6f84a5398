import type { Condition, LoopKernel, Scalar } from './kernel.ts';
import type { Position, Variable } from './position.ts';
import type { Value } from './program.ts';

/** A kernel described apart from the values it works on: kernels with equal keys run the same code on other memory. */
export interface CanonicalKernel {
  readonly key: string;
  /** The values that the code loads and stores, in the order of the key; so are the next two. */
  readonly values: readonly Value[];
  /** The slots of its constants. */
  readonly slots: readonly number[];
  /** The gathers whose indices it checks. */
  readonly gathers: readonly Value[];
}

/** Numbers things from 0, in the order of first occurrence. */
function numbering<T>() {
  const numbers = new Map<T, number>();
  const of = (thing: T): number => {
    const known = numbers.get(thing);
    if (known !== undefined) return known;
    numbers.set(thing, numbers.size);
    return numbers.size - 1;
  };
  return { numbers, of };
}

const known = new WeakMap<LoopKernel, CanonicalKernel>();

export function canonicalKernel(kernel: LoopKernel): CanonicalKernel {
  const { instance } = kernel;
  if (instance !== undefined) {
    const { key, values, slots, gathers } = canonicalKernel(instance.pattern);
    const { valueOf, slotOf } = instance;
    return { key, values: values.map(valueOf), slots: slots.map(slotOf), gathers: gathers.map(valueOf) };
  }
  const existing = known.get(kernel);
  if (existing !== undefined) return existing;
  const canonical = describeKernel(kernel);
  known.set(kernel, canonical);
  return canonical;
}

function describeKernel({ outer, inner, stages }: LoopKernel): CanonicalKernel {
  const [values, slots, gathers] = [numbering<Value>(), numbering<number>(), numbering<Value>()];
  const loops = new Map<Variable, number>([...outer, ...inner].map((loop, i) => [loop, i]));
  const scalars = new Map<Scalar, number>();
  const parts: string[] = [`${outer.map(({ size }) => size)}|${inner.map(({ size }) => size)}`];

  const position = ({ constant, terms }: Position): string => {
    // Terms are sorted by the ids of their variables, which differ from kernel to kernel; here by the loops' numbers.
    const list = terms.map(({ atom, factor }) =>
      atom.kind === 'variable'
        ? `${factor}v${loops.get(atom)}`
        : `${factor}${atom.kind[0]}(${position(atom.of)},${atom.by})`,
    );
    return `${constant}+${list.sort().join('+')}`;
  };
  const condition = (one: Condition): string =>
    one.kind === 'between'
      ? `${position(one.position)}[${one.low},${one.high}]`
      : `${position(one.position)}%${one.by}`;
  const valueOf = (value: Value): string => `${values.of(value)}${value.dtype}`;
  const describe = (scalar: Scalar): string => {
    switch (scalar.kind) {
      case 'load':
        return `load ${valueOf(scalar.from)} ${position(scalar.position)}`;
      case 'lookup':
        return `lookup ${valueOf(scalar.from)} ${position(scalar.position)} ${numberOf(scalar.index)} ${scalar.stride} ${scalar.size} ${gathers.of(scalar.gather)}`;
      case 'argument':
        return `argument ${slots.of(scalar.slot)}`;
      case 'literal':
        return `literal ${Object.is(scalar.value, -0) ? '-0' : scalar.value}`;
      case 'place':
        return `place ${position(scalar.position)}`;
      case 'masked':
        return `masked ${scalar.conditions.map(condition).join()} ${numberOf(scalar.inside)} ${numberOf(scalar.outside)}`;
      case 'stage':
        return `stage ${scalar.stage}`;
      case 'apply':
        return `${scalar.operator}${scalar.word} ${scalar.inputs.map(numberOf).join()}`;
    }
  };
  const numberOf = (scalar: Scalar): number => {
    const known = scalars.get(scalar);
    if (known !== undefined) return known;
    const text = `${describe(scalar)} ${scalar.dtype}`;
    const number = scalars.size;
    scalars.set(scalar, number);
    parts.push(text);
    return number;
  };
  for (const { value, kind, scalar, over, pass, store } of stages) {
    const text = `${kind} ${numberOf(scalar)} ${over} ${pass}`;
    parts.push(`${text} ${valueOf(value)} ${store === undefined ? '' : position(store)}`);
  }
  return {
    key: parts.join(';'),
    values: [...values.numbers.keys()],
    slots: [...slots.numbers.keys()],
    gathers: [...gathers.numbers.keys()],
  };
}

import { computeDType } from '../../compiler/lower.ts';
import type { Value } from '../../compiler/program.ts';
import type { DType } from '../../dtype.ts';
import { functionsFor } from './library.ts';

/** Memory that only one plan knows, for what a step needs between its kernels. */
export interface Scratch {
  readonly kind: 'scratch';
  readonly bytes: number;
}

/** The words in which a run reports indices that are out of range, one for each gather or scatter. */
export const report = { kind: 'report' } as const;

export type Place = Value | Scratch | typeof report;

/** How a kernel uses a buffer. Atomic is for halves that share a word with a neighbour's. */
export type Access = 'read' | 'write' | 'atomic';

export interface Binding {
  readonly place: Place;
  readonly access: 'read' | 'write';
}

/** A word of a kernel's numbers: one given to the run, or bits. */
export type KernelNumber =
  | { readonly kind: 'argument'; readonly slot: number; readonly dtype: DType }
  | { readonly kind: 'bits'; readonly bits: number };

/** A shader with what it is given and how often it runs. */
export interface Kernel {
  /** What it does, for people. */
  readonly label: string;
  readonly source: string;
  readonly numbers: readonly KernelNumber[];
  readonly bindings: readonly Binding[];
  readonly workgroups: number;
}

/** The type of an element in WGSL, when computed with. */
export const typeOf = (dtype: DType): 'f32' | 'i32' | 'u32' | 'bool' => {
  const type = computeDType(dtype);
  if (type === 'f64') throw new Error('webgpu: there is no f64');
  return type;
};

const isNarrow = (dtype: DType): dtype is 'f16' | 'bf16' => dtype === 'f16' || dtype === 'bf16';

/** The word that an element is stored in. */
const wordOf = (dtype: DType): string => (dtype === 'f32' || dtype === 'i32' ? dtype : 'u32');

const dtypeOf = (place: Place): DType => ('primitive' in place ? place.dtype : 'u32');

const constants: Readonly<Record<string, number>> = {
  ZERO: 0,
  INFINITY: 0x7f800000,
  NEGATIVE_INFINITY: 0xff800000,
  NOT_A_NUMBER: 0x7fc00000,
};

/** A shader under construction: collects what its code refers to. */
export class Shader {
  readonly #places: ReadonlyMap<Place, Place>;
  readonly #bindings: { place: Place; access: Access; element: string }[] = [];
  readonly #numbers: KernelNumber[] = [];
  readonly #numberAt = new Map<string, number>();
  readonly #declarations: string[] = [];
  #names = 0;

  /** `places` has those that lie in the memory of another, so that one buffer serves both. */
  constructor(places: ReadonlyMap<Place, Place> = new Map()) {
    this.#places = places;
  }

  /** A new name. */
  name(): string {
    return `v${this.#names++}`;
  }

  /** Names the buffer of a place. `element` overrides the type of its elements, as vec4f. */
  buffer(asked: Place, access: Access, element = wordOf(dtypeOf(asked))): string {
    const place = this.#places.get(asked) ?? asked;
    const index = this.#bindings.findIndex((other) => other.place === place && other.element === element);
    const known = this.#bindings[index];
    if (known === undefined) return `b${this.#bindings.push({ place, access, element }) - 1}`;
    if (known.access === 'read') known.access = access;
    return `b${index}`;
  }

  /** Variables outside of functions. */
  declare(code: string): void {
    this.#declarations.push(code);
  }

  /** A number given to the run. */
  argument(slot: number, dtype: DType): string {
    const word = this.#word({ kind: 'argument', slot, dtype });
    return fromWord(typeOf(dtype), word);
  }

  /** Bits that the source cannot hold, or should not. */
  bits(bits: number): string {
    return this.#word({ kind: 'bits', bits });
  }

  #word(number: KernelNumber): string {
    const key = JSON.stringify(number);
    const index = this.#numberAt.get(key) ?? this.#numbers.push(number) - 1;
    this.#numberAt.set(key, index);
    return `numbers[${index >> 2}].${'xyzw'[index & 3]}`;
  }

  /** The element number `index` (an i32) of a value. */
  load(value: Value, index: string): string {
    const { dtype } = value;
    const name = this.buffer(value, 'read');
    if (isNarrow(dtype)) {
      const place = this.#places.get(value) ?? value;
      const isAtomic = this.#bindings.some((other) => other.place === place && other.access === 'atomic');
      const word = isAtomic ? `atomicLoad(&${name}[(${index}) >> 1u])` : `${name}[(${index}) >> 1u]`;
      return `${dtype === 'f16' ? 'widenF16' : 'widenBf16'}((${word} >> ((u32(${index}) & 1u) << 4u)) & 0xffffu)`;
    }
    return dtype === 'bool' ? `(${name}[${index}] != 0u)` : `${name}[${index}]`;
  }

  /** Stores an element. A half shares its word with a neighbour, which another invocation may be storing. */
  store(value: Value, index: string, element: string): string {
    const { dtype } = value;
    if (isNarrow(dtype)) {
      const name = this.buffer(value, 'atomic');
      const [shift, word] = [this.name(), `&${name}[(${index}) >> 1u]`];
      return `let ${shift} = (u32(${index}) & 1u) << 4u;
atomicAnd(${word}, ~(0xffffu << ${shift}));
atomicOr(${word}, ${narrow(dtype, element)} << ${shift});`;
    }
    const name = this.buffer(value, 'write');
    return `${name}[${index}] = ${dtype === 'bool' ? `select(0u, 1u, ${element})` : element};`;
  }

  /** The finished kernel; `body` is that of the main function. */
  finish(label: string, workgroupSize: number, workgroups: number, body: string): Kernel {
    const withConstants = [...functionsFor(body), ...this.#declarations].join('\n');
    const code = `${withConstants}
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(num_workgroups) groupCount: vec3u, @builtin(local_invocation_index) localIndex: u32) {
let group = i32(groupId.y * groupCount.x + groupId.x);
let local = i32(localIndex);
${body}
}`.replace(/\b(ZERO|INFINITY|NEGATIVE_INFINITY|NOT_A_NUMBER)\b/g, (name) => {
      const word = this.bits(constants[name] as number);
      return name === 'ZERO' ? word : `bitcast<f32>(${word})`;
    });
    const numbers = this.#numbers.length;
    const head =
      numbers === 0 ? [] : [`@group(0) @binding(0) var<uniform> numbers: array<vec4u, ${Math.ceil(numbers / 4)}>;`];
    this.#bindings.forEach(({ access, element }, i) => {
      const type = access === 'atomic' ? `atomic<${element}>` : element;
      const mode = access === 'read' ? 'read' : 'read_write';
      head.push(`@group(0) @binding(${i + 1}) var<storage, ${mode}> b${i}: array<${type}>;`);
    });
    return {
      label,
      source: `${head.join('\n')}\n${code}\n`,
      numbers: this.#numbers,
      bindings: this.#bindings.map(({ place, access }) => ({ place, access: access === 'read' ? 'read' : 'write' })),
      workgroups,
    };
  }
}

/** The bits of an f32 as those of a half. */
export const narrow = (dtype: 'f16' | 'bf16', x: string): string =>
  `${dtype === 'f16' ? 'narrowF16' : 'narrowBf16'}(${x})`;

const fromWord = (type: ReturnType<typeof typeOf>, word: string): string => {
  if (type === 'u32') return word;
  return type === 'bool' ? `(${word} != 0u)` : `bitcast<${type}>(${word})`;
};

/** A number known when compiling. */
export function literal(shader: Shader, dtype: DType, value: number): string {
  switch (typeOf(dtype)) {
    case 'bool':
      return value ? 'true' : 'false';
    case 'u32':
      return `${value >>> 0}u`;
    case 'i32':
      return `bitcast<i32>(${value >>> 0}u)`;
    case 'f32': {
      const rounded = Math.fround(value);
      const isPlain = Math.abs(rounded) >= 2 ** -126 && Number.isFinite(rounded);
      if (isPlain || Object.is(rounded, 0)) return `${rounded}f`;
      return `bitcast<f32>(${shader.bits(new Uint32Array(Float32Array.of(rounded).buffer)[0] as number)})`;
    }
  }
}

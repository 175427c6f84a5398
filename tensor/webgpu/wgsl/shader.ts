import { computeDType } from '../../compiler/lower.ts';
import type { Value } from '../../compiler/program.ts';
import type { DType } from '../../dtype.ts';
import { sizeOf } from '../../shape.ts';
import { deviceBytes } from '../runtime/transfers.ts';
import { type Access, BufferCode, type Part } from './bufferCode.ts';
import { functionsFor } from './library.ts';

/** What shaders may count on. */
export interface ShaderTraits {
  /** The most bytes of a buffer that a shader sees at once; a larger one it sees in parts. */
  readonly bindingBytes: number;
  /** Whether there is the type f16. */
  readonly halves: boolean;
  /** How many invocations make a subgroup, where the subgroups of a workgroup follow one another; else `undefined`. */
  readonly subgroupSize: number | undefined;
}

/** What every adapter has. */
export const plainTraits: ShaderTraits = { bindingBytes: 2 ** 27, halves: false, subgroupSize: undefined };

/** Every adapter has this many storage buffers for a kernel, and some have no more. */
export const mostBuffers = 8;

/** Memory that only one plan knows, for what a step needs between its kernels. */
export interface Scratch {
  readonly kind: 'scratch';
  readonly bytes: number;
}

/** The words in which a run reports indices that are out of range, one for each gather or scatter. */
export const report = { kind: 'report' } as const;

export type Place = Value | Scratch | typeof report;

/** Bytes that a place takes; those of the report are known to the run. */
export const placeBytes = (place: Place): number => {
  if ('primitive' in place) return deviceBytes(place.dtype, sizeOf(place.shape));
  return place.kind === 'scratch' ? place.bytes : 0;
};

/** What a shader sees of a place. */
export interface Binding extends Part {
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

const dtypeOf = (place: Place): DType => ('primitive' in place ? place.dtype : 'u32');

const constants: Readonly<Record<string, number>> = {
  ZERO: 0,
  INFINITY: 0x7f800000,
  NEGATIVE_INFINITY: 0xff800000,
  NOT_A_NUMBER: 0x7fc00000,
};

/** A shader under construction: collects what its code refers to. */
export class Shader {
  readonly traits: ShaderTraits;
  readonly #places: ReadonlyMap<Place, Place>;
  readonly #buffers: { readonly place: Place; readonly element: string; readonly code: BufferCode }[] = [];
  readonly #numbers: KernelNumber[] = [];
  readonly #numberAt = new Map<string, number>();
  readonly #declarations: string[] = [];
  readonly #vectors = new Map<Place, 2 | 4>();
  readonly #features = new Set<'f16' | 'subgroups'>();
  #names = 0;

  /** `places` has those that lie in the memory of another, so that one buffer serves both. */
  constructor(traits: ShaderTraits, places: ReadonlyMap<Place, Place> = new Map()) {
    this.traits = traits;
    this.#places = places;
  }

  /** A new name. */
  name(): string {
    return `v${this.#names++}`;
  }

  /** Has places seen as vectors of as many elements; not those of which single elements are stored, `singly`. */
  useVectors(count: 2 | 4, values: readonly Value[], singly: readonly Value[]): void {
    const excluded = new Set<Place>(singly.map((value) => this.#placeOf(value)));
    for (const value of values) {
      const place = this.#placeOf(value);
      if (!excluded.has(place)) this.#vectors.set(place, count);
    }
  }

  /** How many elements the vectors have as which a value is seen, if it is. */
  vectorOf(value: Value): 2 | 4 | undefined {
    return this.#vectors.get(this.#placeOf(value));
  }

  #placeOf(asked: Place): Place {
    return this.#places.get(asked) ?? asked;
  }

  /** The buffer of a place. `element` overrides the type of its elements, as vec4f. */
  buffer(asked: Place, access: Access, element = this.#elementOf(asked)): BufferCode {
    const place = this.#placeOf(asked);
    const known = this.#buffers.find((other) => other.place === place && other.element === element);
    if (known !== undefined) {
      known.code.use(access);
      return known.code;
    }
    const name = `b${this.#buffers.length}`;
    const code = new BufferCode(name, element, access, placeBytes(place), this.traits.bindingBytes);
    this.#buffers.push({ place, element, code });
    if (element.includes('f16')) this.#features.add('f16');
    return code;
  }

  /** Whether two elements share a word, so that storing one of them takes more than an assignment. */
  shareWords(dtype: DType): boolean {
    return dtype === 'bf16' || (dtype === 'f16' && !this.traits.halves);
  }

  /** The type of the elements of a place's buffer: a vector, or the word that an element is stored in. */
  #elementOf(place: Place): string {
    const dtype = dtypeOf(place);
    const word = this.#wordOf(dtype);
    const lanes = this.#vectors.get(this.#placeOf(place));
    if (lanes === undefined) return word;
    const words = this.shareWords(dtype) ? lanes / 2 : lanes;
    return words === 1 ? word : `vec${words}<${word}>`;
  }

  /** The word that an element is stored in. */
  #wordOf(dtype: DType): string {
    if (dtype === 'f16' && this.traits.halves) return 'f16';
    return dtype === 'f32' || dtype === 'i32' ? dtype : 'u32';
  }

  /** The invocation's number in its subgroup. Only where there are subgroups. */
  lane(): string {
    this.#features.add('subgroups');
    return 'lane';
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
    const lanes = this.vectorOf(value);
    if (lanes !== undefined) return this.elementOf(value, this.loadVector(value, index), `(${index}) & ${lanes - 1}`);
    const word = this.buffer(value, 'read').read(this.shareWords(value.dtype) ? `(${index}) >> 1u` : index);
    return this.#element(value.dtype, word, index);
  }

  /** The vector in which element number `index` of a value lies. */
  loadVector(value: Value, index: string): string {
    return this.buffer(value, 'read').read(`(${index}) >> ${this.vectorOf(value) === 4 ? 2 : 1}u`);
  }

  /** An element of such a vector. */
  elementOf(value: Value, vector: string, lane: number | string): string {
    const shared = this.shareWords(value.dtype);
    if (shared && this.vectorOf(value) === 2) return this.#element(value.dtype, vector, `${lane}`);
    const component = shared ? `(${lane}) >> 1u` : lane;
    return this.#element(value.dtype, `${vector}[${component}]`, `${lane}`);
  }

  /** An element, the number of which tells halves that share a word apart. */
  #element(dtype: DType, word: string, index: string): string {
    if (this.shareWords(dtype))
      return `${dtype === 'f16' ? 'widenF16' : 'widenBf16'}((${word} >> ((u32(${index}) & 1u) << 4u)) & 0xffffu)`;
    if (dtype === 'f16') return `f32(${word})`;
    return dtype === 'bool' ? `(${word} != 0u)` : word;
  }

  /** Stores a vector, the first element of which has the number `index`. */
  storeVector(value: Value, index: string, elements: readonly string[]): string {
    const { dtype } = value;
    const buffer = this.buffer(value, 'write');
    const halves = elements.map((element) => narrow(dtype, element));
    const words = this.shareWords(dtype)
      ? halves.flatMap((half, i) => (i % 2 === 0 ? [`${half} | (${halves[i + 1]} << 16u)`] : []))
      : elements.map((element) => this.#toWord(dtype, element));
    const vector = words.length === 1 ? words.join() : `${buffer.element}(${words.join(', ')})`;
    return buffer.write(`(${index}) >> ${elements.length === 4 ? 2 : 1}u`, vector);
  }

  /** An element in a word of its own. */
  #toWord(dtype: DType, element: string): string {
    if (dtype === 'f16') return `bitcast<vec2<f16>>(${narrow(dtype, element)}).x`;
    return dtype === 'bool' ? `select(0u, 1u, ${element})` : element;
  }

  /** Declares that elements of a value are stored, which code that reads it too has to know before. */
  prepareStore(value: Value): void {
    const isAtomic = this.shareWords(value.dtype) && this.vectorOf(value) === undefined;
    this.buffer(value, isAtomic ? 'atomic' : 'write');
  }

  /** Stores an element. A half may share its word with a neighbour, which another invocation may be storing. */
  store(value: Value, index: string, element: string): string {
    const { dtype } = value;
    if (this.shareWords(dtype)) {
      const buffer = this.buffer(value, 'atomic');
      const [shift, half, word] = [this.name(), this.name(), `(${index}) >> 1u`];
      // The element may be made of what is there still.
      return `let ${shift} = (u32(${index}) & 1u) << 4u;
let ${half} = ${narrow(dtype, element)} << ${shift};
${buffer.atomic('And', word, `~(0xffffu << ${shift})`)}
${buffer.atomic('Or', word, half)}`;
    }
    return this.buffer(value, 'write').write(index, this.#toWord(dtype, element));
  }

  /** The finished kernel; `body` is that of the main function. */
  finish(label: string, workgroupSize: number, workgroups: number, body: string): Kernel {
    const own = this.#declarations.join('\n');
    const withConstants = [...functionsFor(`${own}\n${body}`), own].join('\n');
    const lane = this.#features.has('subgroups') ? ', @builtin(subgroup_invocation_id) lane: u32' : '';
    const code = `${withConstants}
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(num_workgroups) groupCount: vec3u, @builtin(local_invocation_index) localIndex: u32${lane}) {
let group = i32(groupId.y * groupCount.x + groupId.x);
let local = i32(localIndex);
${body}
}`.replace(/\b(ZERO|INFINITY|NEGATIVE_INFINITY|NOT_A_NUMBER)\b/g, (name) => {
      const word = this.bits(constants[name] as number);
      return name === 'ZERO' ? word : `bitcast<f32>(${word})`;
    });
    const numbers = this.#numbers.length;
    const head = [...this.#features].map((feature) => `enable ${feature};`);
    if (numbers > 0) head.push(`@group(0) @binding(0) var<uniform> numbers: array<vec4u, ${Math.ceil(numbers / 4)}>;`);
    const bindings: Binding[] = [];
    for (const { place, code } of this.#buffers) {
      head.push(code.declarations(bindings.length + 1));
      const access = code.access === 'read' ? 'read' : 'write';
      bindings.push(...code.parts.map((part): Binding => ({ place, access, ...part })));
    }
    return { label, source: `${head.join('\n')}\n${code}\n`, numbers: this.#numbers, bindings, workgroups };
  }
}

/** The bits of an f32 as those of a half. */
export const narrow = (dtype: DType, x: string): string => `${dtype === 'f16' ? 'narrowF16' : 'narrowBf16'}(${x})`;

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

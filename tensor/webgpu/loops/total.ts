import type { Stage } from '../../compiler/kernel.ts';
import type { DType } from '../../dtype.ts';
import { literal, type Place, type Shader, typeOf } from '../wgsl/shader.ts';

const isExact = (kind: Stage['kind'], dtype: DType): boolean => kind === 'sum' && typeOf(dtype) === 'f32';

/** The running result of a reduction. Sums of floats keep what their roundings lose. */
export class Total {
  readonly #shader: Shader;
  readonly #kind: Stage['kind'];
  readonly #dtype: DType;
  readonly #exact: boolean;
  readonly #name: string;

  constructor(shader: Shader, kind: Stage['kind'], dtype: DType) {
    this.#shader = shader;
    this.#kind = kind;
    this.#dtype = dtype;
    this.#exact = isExact(kind, dtype);
    this.#name = shader.name();
  }

  /** Bytes of a running result that is kept. */
  static bytesOf(kind: Stage['kind'], dtype: DType): number {
    return isExact(kind, dtype) ? 8 : 4;
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
    const type = this.#exact ? 'vec2f' : typeOf(this.#dtype);
    const { subgroupSize } = this.#shader.traits;
    // Truth values cannot be looked at across a subgroup.
    return subgroupSize !== undefined && subgroupSize <= size && type !== 'bool'
      ? this.#joinSubgroups(size, subgroupSize, type)
      : this.#joinHalves(size, type);
  }

  /** In each round, half of the invocations take over what the other half has. */
  #joinHalves(size: number, type: string): string {
    const shared = this.#shared(type, size);
    const [a, b] = [`${shared}[local]`, `${shared}[local + half]`];
    return `${shared}[local] = ${this.#name};
workgroupBarrier();
for (var half = ${size / 2}; half > 0; half /= 2) {
if (local < half) { ${a} = ${this.#joined(a, b)}; }
workgroupBarrier();
}
${this.#name} = ${shared}[0];
workgroupBarrier();
`;
  }

  /** First within each subgroup, without memory or barriers; then each invocation joins the few that are left. */
  #joinSubgroups(size: number, subgroupSize: number, type: string): string {
    const lines: string[] = [];
    for (let distance = 1; distance < subgroupSize; distance *= 2) {
      const other = `subgroupShuffleXor(${this.#name}, ${distance}u)`;
      lines.push(`${this.#name} = ${this.#joined(this.#name, other)};\n`);
    }
    const subgroups = size / subgroupSize;
    const shared = this.#shared(type, subgroups);
    const isFirst = `${this.#shader.lane()} == 0u`;
    lines.push(`if (${isFirst}) { ${shared}[local / ${subgroupSize}] = ${this.#name}; }
workgroupBarrier();
${this.#name} = ${shared}[0];
for (var other = 1; other < ${subgroups}; other++) { ${this.#name} = ${this.#joined(this.#name, `${shared}[other]`)}; }
workgroupBarrier();
`);
    return lines.join('');
  }

  #shared(type: string, count: number): string {
    const shared = this.#shader.name();
    this.#shader.declare(`var<workgroup> ${shared}: array<${type}, ${count}>;`);
    return shared;
  }

  /** Two running results as one. */
  #joined(a: string, b: string): string {
    return this.#exact ? `joinSums(${a}, ${b})` : this.#combine(a, b);
  }

  /** Keeps the running result at a place. */
  keep(place: Place, index: string): string {
    const kept = this.#shader.buffer(place, 'write', this.#kept());
    const isBool = typeOf(this.#dtype) === 'bool';
    return kept.write(index, isBool ? `select(0u, 1u, ${this.#name})` : this.#name);
  }

  /** Joins a running result that was kept. */
  addKept(place: Place, index: string): string {
    const kept = this.#shader.buffer(place, 'read', this.#kept()).read(index);
    const element = typeOf(this.#dtype) === 'bool' ? `(${kept} != 0u)` : kept;
    return `${this.#name} = ${this.#joined(this.#name, element)};\n`;
  }

  /** The type in which a running result is kept. */
  #kept(): string {
    const type = typeOf(this.#dtype);
    return this.#exact ? 'vec2f' : type === 'bool' ? 'u32' : type;
  }

  result(): string {
    return this.#exact ? `sumOf(${this.#name})` : this.#name;
  }

  #combine(a: string, b: string): string {
    if (typeOf(this.#dtype) === 'bool') return `(${a} || ${b})`;
    return this.#kind === 'max' ? `max(${a}, ${b})` : `(${a} + ${b})`;
  }
}

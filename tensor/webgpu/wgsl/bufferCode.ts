/** How a kernel uses a buffer. Atomic is for halves that share a word with a neighbour's. */
export type Access = 'read' | 'write' | 'atomic';

/** Bytes of the types of elements that buffers have. */
const elementBytes = (element: string): number => {
  const lanes = Number(/^vec(\d)/.exec(element)?.[1] ?? 1);
  return lanes * (/f16|vec\dh/.test(element) ? 2 : 4);
};

/** Parts of a buffer begin where every adapter allows a binding to begin. */
const partAlignment = 256;

/** A part of a buffer, in bytes. */
export interface Part {
  readonly offset: number;
  readonly bytes: number;
}

/** A buffer as the code of a shader refers to it. One that is larger than a binding is bound, and seen, in parts. */
export class BufferCode {
  readonly #name: string;
  /** The type of its elements. */
  readonly element: string;
  readonly #parts: readonly Part[];
  readonly #perPart: number;
  #access: Access;

  constructor(name: string, element: string, access: Access, bytes: number, bindingBytes: number) {
    const partBytes = Math.max(1, Math.floor(bindingBytes / partAlignment)) * partAlignment;
    const count = Math.max(1, bytes <= bindingBytes ? 1 : Math.ceil(bytes / partBytes));
    this.#name = name;
    this.element = element;
    this.#access = access;
    this.#perPart = partBytes / elementBytes(element);
    this.#parts = Array.from({ length: count }, (_, i) => ({
      offset: i * partBytes,
      bytes: count === 1 ? bytes : Math.min(partBytes, bytes - i * partBytes),
    }));
  }

  get access(): Access {
    return this.#access;
  }

  get parts(): readonly Part[] {
    return this.#parts;
  }

  /** Reading becomes writing where both occur. */
  use(access: Access): void {
    if (this.#access === 'read') this.#access = access;
  }

  /** The expression of an element. */
  read(index: string): string {
    if (this.#isSplit) return `read_${this.#name}(i32(${index}))`;
    const element = `${this.#name}[${index}]`;
    return this.#access === 'atomic' ? `atomicLoad(&${element})` : element;
  }

  write(index: string, element: string): string {
    return this.#isSplit ? `write_${this.#name}(i32(${index}), ${element});` : `${this.#name}[${index}] = ${element};`;
  }

  atomic(operation: 'And' | 'Or' | 'Max', index: string, element: string): string {
    return this.#isSplit
      ? `atomic${operation}_${this.#name}(i32(${index}), ${element});`
      : `atomic${operation}(&${this.#name}[${index}], ${element});`;
  }

  /** The variables, of which the first has the given number of a binding, and the functions that choose among them. */
  declarations(firstBinding: number): string {
    const access = this.#access;
    const type = access === 'atomic' ? `atomic<${this.element}>` : this.element;
    const mode = access === 'read' ? 'read' : 'read_write';
    const variables = this.#parts.map(
      (_, i) => `@group(0) @binding(${firstBinding + i}) var<storage, ${mode}> ${this.#partName(i)}: array<${type}>;`,
    );
    return [...variables, ...(this.#isSplit ? this.#functions() : [])].join('\n');
  }

  #functions(): string[] {
    const [name, element] = [this.#name, this.element];
    /** Does the same with whichever part has element i. */
    const choose = (code: (place: string) => string): string =>
      this.#parts
        .map((_, i) => {
          const start = i * this.#perPart;
          const place = `${this.#partName(i)}[${i === 0 ? 'i' : `i - ${start}`}]`;
          return i === this.#parts.length - 1 ? code(place) : `if (i < ${start + this.#perPart}) { ${code(place)} }\n`;
        })
        .join('');
    if (this.#access === 'atomic') {
      return [
        `fn read_${name}(i: i32) -> ${element} {\n${choose((place) => `return atomicLoad(&${place});`)}\n}`,
        ...['And', 'Or', 'Max'].map(
          (operation) =>
            `fn atomic${operation}_${name}(i: i32, x: ${element}) {\n${choose((place) => `atomic${operation}(&${place}, x); return;`)}\n}`,
        ),
      ];
    }
    const read = `fn read_${name}(i: i32) -> ${element} {\n${choose((place) => `return ${place};`)}\n}`;
    if (this.#access === 'read') return [read];
    return [read, `fn write_${name}(i: i32, x: ${element}) {\n${choose((place) => `${place} = x; return;`)}\n}`];
  }

  get #isSplit(): boolean {
    return this.#parts.length > 1;
  }

  #partName(part: number): string {
    return this.#isSplit ? `${this.#name}_${part}` : this.#name;
  }
}

import { type Code, flatten, sized, unsigned, utf8, vector } from './encoding.ts';
import type { Expression, Local, Statement, ValueType } from './instructions.ts';

const typeCode: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Declares the locals of a function while its body is built. */
export interface Scope {
  local<T extends ValueType>(type: T): Local<T>;
}

/** A function of the module under construction. */
export interface FunctionHandle<R extends ValueType | undefined> {
  readonly index: number;
  readonly result: R;
}

interface FunctionRecord {
  readonly parameters: readonly ValueType[];
  readonly result: ValueType | undefined;
  readonly locals: readonly ValueType[];
  readonly body: Code;
  readonly name: string | undefined;
}

type Parameters<P extends readonly ValueType[]> = { readonly [I in keyof P]: Local<P[I]> };
type Arguments<P extends readonly ValueType[]> = { readonly [I in keyof P]: Expression<P[I]> };

/** A typed handle; `call` takes expressions of the parameters' types. */
export interface TypedFunction<P extends readonly ValueType[], R extends ValueType | undefined>
  extends FunctionHandle<R> {
  call(...values: Arguments<P>): R extends ValueType ? Expression<R> : Statement;
}

export interface MemoryImport {
  readonly initial: number;
  /** In pages of 64 KiB. Required for shared memory. */
  readonly maximum?: number;
  readonly shared?: boolean;
}

/** Builds a WebAssembly module over one imported memory (`env.memory`). */
export class ModuleBuilder {
  readonly #functions: FunctionRecord[] = [];
  readonly #memory: MemoryImport;

  constructor(memory: MemoryImport) {
    this.#memory = memory;
  }

  /** Adds a function, exported if it has a name. The body is built at once; it can call functions added before. */
  function<const P extends readonly ValueType[], R extends ValueType | undefined = undefined>(
    signature: { readonly parameters: P; readonly result?: R; readonly name?: string },
    build: (parameters: Parameters<P>, scope: Scope) => Code,
  ): TypedFunction<P, R> {
    const { parameters, result, name } = signature;
    const locals: ValueType[] = [];
    const scope: Scope = {
      local: (type) => {
        locals.push(type);
        return { type, index: parameters.length + locals.length - 1 };
      },
    };
    const variables = parameters.map((type, index) => ({ type, index })) as unknown as Parameters<P>;
    const body = build(variables, scope);
    const index = this.#functions.length;
    this.#functions.push({ parameters, result, locals, body, name });
    return {
      index,
      result: result as R,
      call: (...values) => [values as readonly Code[], 0x10, unsigned(index)] as never,
    };
  }

  /** The binary module. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const functions = this.#functions;
    const types = functions.map(({ parameters, result }) => [
      0x60,
      vector(parameters.map((type) => typeCode[type])),
      vector(result === undefined ? [] : [typeCode[result]]),
    ]);
    const { initial, maximum, shared = false } = this.#memory;
    const limits =
      maximum === undefined ? [0, unsigned(initial)] : [shared ? 3 : 1, unsigned(initial), unsigned(maximum)];
    const exported = functions.flatMap(({ name }, index) =>
      name === undefined ? [] : [[utf8(name), 0x00, unsigned(index)]],
    );
    const bodies = functions.map(({ locals, body }) => sized([vector(declarations(locals)), body, 0x0b]));
    const section = (id: number, content: Code): Code => [id, sized(content)];
    const module: Code = [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, vector(types)),
      section(2, vector([[utf8('env'), utf8('memory'), 0x02, limits]])),
      section(3, vector(functions.map((_, index) => unsigned(index)))),
      section(7, vector(exported)),
      section(10, vector(bodies)),
    ];
    return Uint8Array.from(flatten(module));
  }
}

/** Declarations of locals: neighbours of one type are declared together. */
function declarations(locals: readonly ValueType[]): Code[] {
  const groups: { type: ValueType; count: number }[] = [];
  for (const type of locals) {
    const last = groups.at(-1);
    if (last?.type === type) last.count++;
    else groups.push({ type, count: 1 });
  }
  return groups.map(({ type, count }) => [unsigned(count), typeCode[type]]);
}

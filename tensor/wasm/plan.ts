import { type BufferAliasing, findAliasing, sharedBuffers } from '../compiler/bufferAliasing.ts';
import { planMemory } from '../compiler/memoryPlanner.ts';
import { outputIndices, type Program, type Value } from '../compiler/program.ts';
import { schedule } from '../compiler/schedule.ts';
import type { KernelReport } from '../device.ts';
import { byteSize } from '../dtype.ts';
import { reportOf } from '../executor/reportOf.ts';
import { sizeOf } from '../shape.ts';
import { type I32, i32, type Local, local, type Statement, when } from './assembler/instructions.ts';
import { type MemoryImport, ModuleBuilder } from './assembler/module.ts';
import type { Word } from './contractions/parameters.ts';
import type { Phase } from './runtime/threads.ts';
import { type ContractionWork, type KernelCode, type KernelWork, planTasks, type Task } from './tasks.ts';

/** A program compiled to a module and the phases that call it. A run copies the table, fills it in and runs the phases. */
export interface Plan {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly phases: readonly Phase[];
  /** For each task, what it does and how many phases it has. */
  readonly tasks: readonly { readonly report: KernelReport; readonly phases: number }[];
  readonly arenaBytes: number;
  readonly threadScratchBytes: number;
  /** Roughly how long it takes on one thread. */
  readonly nanoseconds: number;
  readonly table: TableLayout;
  /** Which leaves' buffers the outputs may be written to. */
  readonly aliasing: BufferAliasing;
  /** Gathers and scatters that may find an index out of range, by the number that the report word holds, less one. */
  readonly indexed: readonly Value[];
}

/**
 * The table of a run: the report of a bad index, parameter blocks of kernels and contractions, counters for the threads,
 * and the run's numbers as vectors. Offsets are in bytes.
 */
export interface TableLayout {
  readonly words: Int32Array;
  /** Words that get an address: where some piece of memory is in this run, plus an offset. */
  readonly addresses: readonly { readonly word: number; readonly base: Base; readonly offset: number }[];
  readonly report: number;
  readonly counters: number;
  readonly numbers: number;
  readonly bytes: number;
}

/** Memory whose address is known when a plan runs: a leaf's buffer, an output's, the arena, or the table itself. */
export type Base =
  | { readonly kind: 'leaf'; readonly slot: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'arena' }
  | { readonly kind: 'table' };

const bytesOf = (value: Value): number => sizeOf(value.shape) * byteSize[value.dtype];

/** Where something is: an offset in bytes from what is known when a plan runs. */
interface Place {
  readonly base: Base;
  readonly offset: number;
}

const arenaBase: Base = { kind: 'arena' };
const tableBase: Base = { kind: 'table' };

/** The report of a bad index comes first: its number and the index. */
const report = 0;
const reportWords = 2;

/** Instead of the number of a lifetime. */
const none = -1;

/** Where a kernel finds things in its parameter block, as numbers of words. */
const blockOf = ({ values, slots, gathers }: KernelCode) => ({
  scratch: values.length,
  report: values.length + 1,
  slots: values.length + 2,
  gathers: values.length + 2 + slots.length,
  length: values.length + 2 + slots.length + gathers.length,
});

/** Compiles a program for a memory of the given kind; without `fuse`, every operator gets a kernel of its own. */
export function compilePlan(program: Program, memory: MemoryImport, fuse: boolean): Plan {
  const { kernels } = schedule(program, { mostLoads: 24, fuse, longChains: false });
  const tasks = planTasks(kernels);
  const outputAt = outputIndices(program);
  const shared = allSharedBuffers(program, tasks);
  const elsewhere = new Set([...outputAt.keys(), ...shared.keys()]);
  const { arena, scratch, bytes: arenaBytes } = placeValues(program, tasks, elsewhere);
  const places: Place[] = [];
  const table = new TableWriter((stored) => {
    const known = places[stored.id];
    if (known !== undefined) return known;
    const value = shared.get(stored) ?? stored;
    const index = outputAt.get(value);
    const inArena = { base: arenaBase, offset: arena[value.id] as number };
    const output: Base | undefined = index === undefined ? undefined : { kind: 'output', index };
    const elsewhere: Base | undefined = value.primitive === 'leaf' ? { kind: 'leaf', slot: value.slot } : output;
    const place = elsewhere === undefined ? inArena : { base: elsewhere, offset: 0 };
    places[stored.id] = place;
    return place;
  });
  const indexed: Value[] = [];
  const builder = new ModuleBuilder(memory);
  const names = new Map<KernelCode, readonly string[]>();
  let threadScratchBytes = 0;
  const phases = tasks.flatMap(({ work }, i): Phase[] => {
    if (work.kind === 'kernel') {
      const parameters = table.kernel(work, scratch[i] as number, indexed);
      const own = names.get(work.code) ?? addCode(builder, work.code, `k${names.size}`);
      names.set(work.code, own);
      return work.code.phases.map(({ units }, p) => [{ kind: 'kernel', name: own[p] as string, units, parameters }]);
    }
    threadScratchBytes = Math.max(threadScratchBytes, work.plan.threadScratchBytes);
    return work.plan.phases.map((steps) =>
      steps.map(({ name, units, words }) => ({
        kind: 'contraction',
        name,
        units,
        parameters: table.contraction(words, work.operands, scratch[i] as number),
      })),
    );
  });
  return {
    module: builder.toBytes(),
    phases,
    tasks: tasks.map((task) => ({ report: reportOf(task, bytesOf), phases: phasesOf(task) })),
    arenaBytes,
    threadScratchBytes,
    nanoseconds: tasks.reduce((sum, task) => sum + task.nanoseconds, 0),
    table: table.layout(
      phases.reduce((sum, steps) => sum + steps.length + 1, 0),
      program.scalars.length,
    ),
    aliasing: findAliasing(program, tasks, bytesOf),
    indexed,
  };
}

/** Adds the functions of a kernel, one for each of its phases, which find what they work on in a parameter block. */
function addCode(builder: ModuleBuilder, code: KernelCode, prefix: string): readonly string[] {
  const block = blockOf(code);
  return code.phases.map((phase, p) => {
    const name = `${prefix}_${p}`;
    builder.function({ parameters: ['i32', 'i32', 'i32'], name }, ([base, from, to], scope) => {
      const known = new Map<number, Local<'i32'>>();
      const prelude: Statement[] = [];
      /** A word of the block, read once. */
      const word = (index: number): I32 => {
        const variable = known.get(index) ?? scope.local('i32');
        if (!known.has(index)) prelude.push(local.set(variable, i32.load(local.get(base), 4 * index)));
        known.set(index, variable);
        return local.get(variable);
      };
      const reportIndex = (value: Value, index: I32): Statement =>
        when(i32.eqz(i32.load(word(block.report))), [
          i32.store(word(block.report), word(block.gathers + code.gathers.indexOf(value))),
          i32.store(word(block.report), index, 4),
        ]);
      const body = phase.code(
        {
          scope,
          address: (value) => word(code.values.indexOf(value)),
          argument: (slot) => ({ base: word(block.slots + code.slots.indexOf(slot)), offset: 0 }),
          scratch: word(block.scratch),
          reportIndex,
        },
        from,
        to,
      );
      return [prelude, body];
    });
    return name;
  });
}

/** Lays out a run's table. `placeOf` says where a value is. */
class TableWriter {
  readonly #words: number[] = new Array<number>(reportWords).fill(0);
  readonly #addresses: { word: number; base: Base; offset: number }[] = [];
  readonly #numbers: { word: number; slot: number }[] = [];
  readonly #placeOf: (value: Value) => Place;

  constructor(placeOf: (value: Value) => Place) {
    this.#placeOf = placeOf;
  }

  /** Adds the block of a kernel; gives its place, in bytes. */
  kernel({ code, values, slots, gathers }: KernelWork, scratch: number, indexed: Value[]): number {
    const start = this.#words.length;
    const block = blockOf(code);
    for (let i = 0; i < block.length; i++) this.#words.push(0);
    values.forEach((value, i) => {
      this.#point(start + i, value, 0);
    });
    this.#addresses.push({ word: start + block.scratch, base: arenaBase, offset: scratch });
    this.#addresses.push({ word: start + block.report, base: tableBase, offset: report });
    slots.forEach((slot, i) => {
      this.#numbers.push({ word: start + block.slots + i, slot });
    });
    gathers.forEach((value, i) => {
      this.#words[start + block.gathers + i] = indexed.push(value);
    });
    return 4 * start;
  }

  /** Adds the block of a step of a contraction; gives its place, in bytes. */
  contraction(words: readonly Word[], operands: ContractionWork['operands'], scratch: number): number {
    const start = this.#words.length;
    words.forEach((word, i) => {
      this.#words.push(typeof word === 'number' ? word : 0);
      if (typeof word === 'number') return;
      if (word.operand === 'scratch') {
        this.#addresses.push({ word: start + i, base: arenaBase, offset: scratch + word.offset });
      } else this.#point(start + i, operands[word.operand] as Value, word.offset);
    });
    return 4 * start;
  }

  #point(word: number, value: Value, offset: number): void {
    const place = this.#placeOf(value);
    this.#addresses.push({ word, base: place.base, offset: place.offset + offset });
  }

  /** The whole table, with so many words for the threads and so many numbers. */
  layout(counterWords: number, scalars: number): TableLayout {
    const counters = 4 * this.#words.length;
    const numbers = Math.ceil((counters + 4 * counterWords) / 16) * 16;
    const bytes = numbers + 16 * scalars;
    const words = new Int32Array(bytes / 4);
    words.set(this.#words);
    const toNumbers = this.#numbers.map(({ word, slot }) => ({
      word,
      base: tableBase,
      offset: numbers + 16 * slot,
    }));
    return { words, addresses: [...this.#addresses, ...toNumbers], report, counters, numbers, bytes };
  }
}

const phasesOf = ({ work }: Task): number =>
  work.kind === 'kernel' ? work.code.phases.length : work.plan.phases.length;

/** Values that a kernel makes for itself alone, and the result that may overwrite each. */
function allSharedBuffers({ values, outputs }: Program, tasks: readonly Task[]): Map<Value, Value> {
  const readers = new Int32Array(values.length);
  for (const { reads } of tasks) for (const { id } of reads) readers[id] = (readers[id] as number) + 1;
  const results = new Set(outputs);
  const shared = new Map<Value, Value>();
  for (const { kernel, reads } of tasks) {
    if (kernel === undefined) continue;
    const isRead = (value: Value): boolean =>
      results.has(value) || (readers[value.id] as number) > Number(reads.includes(value));
    for (const [value, by] of sharedBuffers(kernel, isRead)) shared.set(value, by);
  }
  return shared;
}

/**
 * Finds offsets in the arena for what lives only during a run: values that are not elsewhere, by their number, and each
 * task's scratch. `webgpu` has its own version, which assigns separate buffers: WebGPU cannot bind parts of one buffer both
 * for reading and for writing.
 */
function placeValues({ values }: Program, tasks: readonly Task[], elsewhere: ReadonlySet<Value>) {
  const lifetimes: { readonly bytes: number; readonly from: number; to: number }[] = [];
  const lifetimeOf = new Int32Array(values.length).fill(none);
  tasks.forEach(({ reads, writes }, i) => {
    for (const value of writes)
      if (lifetimeOf[value.id] === none && !elsewhere.has(value))
        lifetimeOf[value.id] = lifetimes.push({ bytes: bytesOf(value), from: i, to: i }) - 1;
    for (const { id } of [...writes, ...reads]) {
      const lifetime = lifetimes[lifetimeOf[id] as number];
      if (lifetime !== undefined) lifetime.to = i;
    }
  });
  const inner = lifetimes.length;
  tasks.forEach(({ scratchBytes }, i) => {
    lifetimes.push({ bytes: scratchBytes, from: i, to: i });
  });
  const { offsets, bytes } = planMemory(lifetimes);
  return { arena: Array.from(lifetimeOf, (lifetime) => offsets[lifetime] ?? 0), scratch: offsets.slice(inner), bytes };
}

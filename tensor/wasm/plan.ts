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

/** A program made ready to run: a module and the phases that call it. A run fills in a copy of the table first. */
export interface Plan {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly phases: readonly Phase[];
  /** The report of each task, and its number of phases. */
  readonly tasks: readonly { readonly report: KernelReport; readonly phases: number }[];
  readonly arenaBytes: number;
  readonly threadScratchBytes: number;
  /** Estimated time on one thread. */
  readonly nanoseconds: number;
  readonly table: TableLayout;
  /** Leaves whose buffers the outputs may take over. */
  readonly aliasing: BufferAliasing;
  /** Gathers and scatters, which may find an index out of range; the report word holds a number into this list, from 1. */
  readonly indexed: readonly Value[];
}

/**
 * The layout of a run's table: the report of an index out of range, the parameter blocks of kernels and contractions, the
 * counters of the threads, and the scalar arguments as vectors. Offsets are in bytes.
 */
export interface TableLayout {
  readonly words: Int32Array;
  /** Words that hold addresses: a run fills in the base's address plus an offset. */
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

/** An offset in bytes from a base. */
interface Place {
  readonly base: Base;
  readonly offset: number;
}

const arenaBase: Base = { kind: 'arena' };
const tableBase: Base = { kind: 'table' };

/** The table starts with the report: a number into `Plan.indexed`, from 1, and the index. */
const report = 0;
const reportWords = 2;

/** Marks a value without a lifetime in the arena. */
const none = -1;

/** The layout of a kernel's parameter block, in words. */
const blockOf = ({ values, slots, gathers }: KernelCode) => ({
  scratch: values.length,
  report: values.length + 1,
  slots: values.length + 2,
  gathers: values.length + 2 + slots.length,
  length: values.length + 2 + slots.length + gathers.length,
});

/** Compiles a program for a memory. Without `fuse`, every operator is a kernel of its own. */
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
      const exports = names.get(work.code) ?? addCode(builder, work.code, `k${names.size}`);
      names.set(work.code, exports);
      return work.code.phases.map(({ units }, p) => [
        { kind: 'kernel', name: exports[p] as string, units, parameters },
      ]);
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

/** Adds a function for each phase of a kernel; they read addresses from a parameter block. */
function addCode(builder: ModuleBuilder, code: KernelCode, prefix: string): readonly string[] {
  const block = blockOf(code);
  return code.phases.map((phase, p) => {
    const name = `${prefix}_${p}`;
    builder.function({ parameters: ['i32', 'i32', 'i32'], name }, ([base, from, to], scope) => {
      const loaded = new Map<number, Local<'i32'>>();
      const prelude: Statement[] = [];
      /** A word of the block, loaded once, at the start of the function. */
      const word = (index: number): I32 => {
        const variable = loaded.get(index) ?? scope.local('i32');
        if (!loaded.has(index)) prelude.push(local.set(variable, i32.load(local.get(base), 4 * index)));
        loaded.set(index, variable);
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

/** Lays out a run's table. `placeOf` gives the place of a value's memory. */
class TableWriter {
  readonly #words: number[] = new Array<number>(reportWords).fill(0);
  readonly #addresses: { word: number; base: Base; offset: number }[] = [];
  readonly #numbers: { word: number; slot: number }[] = [];
  readonly #placeOf: (value: Value) => Place;

  constructor(placeOf: (value: Value) => Place) {
    this.#placeOf = placeOf;
  }

  /** Adds the parameter block of a kernel; returns its offset in bytes. */
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

  /** Adds the parameter block of a contraction's call; returns its offset in bytes. */
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

  /** The whole table, with room for the threads' counters and the scalar arguments. */
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

/** Values that only their own kernel reads, each with the result of that kernel that may share its memory. */
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
 * Packs what lives only during a run into the arena: values that are not in `elsewhere`, and each task's scratch memory.
 * `webgpu` has its own version, which assigns separate buffers: WebGPU cannot bind parts of one buffer both
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

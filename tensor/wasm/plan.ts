import { packLifetimes } from '../compiler/arena.ts';
import { isContraction, stridedView } from '../compiler/buffers.ts';
import { contractionFlops } from '../compiler/describe.ts';
import type { LoopKernel } from '../compiler/kernel.ts';
import { shapeLoops } from '../compiler/loops.ts';
import type { Program, Value } from '../compiler/program.ts';
import { findReuse, findShadows, type Reuse } from '../compiler/reuse.ts';
import { allParts, loadsOf } from '../compiler/scalars.ts';
import { schedule } from '../compiler/schedule.ts';
import { byteSize } from '../dtype.ts';
import type { KernelReport } from '../explain.ts';
import type { AttentionAttributes, ConvAttributes } from '../primitives.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Operand } from './contractions/parameters.ts';
import type { ContractionDType, ContractionPlan, View } from './contractions/plan.ts';
import { planAttention, planAttentionGradient } from './contractions/planAttention.ts';
import { planConv } from './contractions/planConv.ts';
import { planMatmul } from './contractions/planMatmul.ts';
import { type I32, i32, type Local, local, type Statement, when } from './instructions.ts';
import { type LoopPhase, loopPhases } from './loopCode.ts';
import { planLoops } from './loopPlan.ts';
import { type MemoryImport, ModuleBuilder, type Scope } from './module.ts';
import { planStep } from './stepCode.ts';
import type { Phase } from './threads.ts';
import { contractionTime, loopTime, stepTime } from './time.ts';

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
  readonly reuse: Reuse;
  /** Gathers and scatters that may find an index out of range, by the number that the report word holds, less one. */
  readonly indexed: readonly Value[];
}

/**
 * The table of a run: addresses of buffers, the report of a bad index, counters for the threads, parameter blocks of
 * contractions, and the run's numbers as vectors. Offsets are in bytes.
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

/** Memory whose address is known when a plan runs: a leaf's buffer, an output's, or the arena. */
export type Base =
  | { readonly kind: 'leaf'; readonly slot: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'arena' };

const bytesOf = (value: Value): number => sizeOf(value.shape) * byteSize[value.dtype];

/** Work that ends before the next begins: a kernel of our own, or a contraction. */
interface Task {
  readonly reads: ReadonlySet<Value>;
  readonly writes: readonly Value[];
  readonly scratchBytes: number;
  readonly description: string;
  readonly flops: number;
  readonly nanoseconds: number;
  readonly kernel?: LoopKernel;
  readonly work: KernelWork | ContractionWork;
}

interface KernelWork {
  readonly kind: 'kernel';
  readonly phases: readonly LoopPhase[];
}

interface ContractionWork {
  readonly kind: 'contraction';
  readonly plan: ContractionPlan;
  readonly operands: Readonly<Partial<Record<Operand, Value>>>;
}

interface TaskContext {
  readonly scope: Scope;
  address(value: Value): I32;
  argument(slot: number): { base: I32; offset: number };
  readonly scratch: I32;
  reportIndex(value: Value, index: I32): Statement;
}

/** Compiles a program for a memory of the given kind; without `fuse`, every operator gets a kernel of its own. */
export function compilePlan(program: Program, memory: MemoryImport, fuse: boolean): Plan {
  const { kernels, buffers } = schedule(program, { mostLoads: 24, fuse });
  const tasks = kernels.map((kernel) => {
    if (kernel.kind === 'loops') return loopTask(shapeLoops(kernel));
    const { value } = kernel;
    return isContraction(value) ? contractionTask(value, buffers) : stepTask(value);
  });
  const outputs = new Set(program.outputs);
  const shadows = new Map(
    tasks.flatMap(({ kernel }, i) => {
      const isRead = (value: Value) =>
        outputs.has(value) || tasks.some(({ reads }, other) => other !== i && reads.has(value));
      return kernel === undefined ? [] : [...findShadows(kernel, isRead)];
    }),
  );
  const { arena, scratch, bytes: arenaBytes } = placeValues(tasks, new Set([...outputs, ...shadows.keys()]));

  const stored = [
    ...program.values.filter(({ primitive }) => primitive === 'leaf'),
    ...tasks.flatMap(({ writes }) => writes),
  ];
  const wordOf = new Map(stored.map((value, i) => [value, i]));
  const addresses: { word: number; base: Base; offset: number }[] = [];
  const addAddress = (word: number, stored: Value, offset: number): void => {
    const value = shadows.get(stored) ?? stored;
    const index = program.outputs.indexOf(value);
    if (value.primitive === 'leaf') addresses.push({ word, base: { kind: 'leaf', slot: value.slot }, offset });
    else if (index >= 0) addresses.push({ word, base: { kind: 'output', index }, offset });
    else addresses.push({ word, base: { kind: 'arena' }, offset: (arena.get(value) ?? 0) + offset });
  };
  stored.forEach((value, word) => {
    addAddress(word, value, 0);
  });
  const arenaWord = stored.length;
  addresses.push({ word: arenaWord, base: { kind: 'arena' }, offset: 0 });
  const report = 4 * (arenaWord + 1);
  const blocks: number[] = [];
  const phases: Phase[] = [];
  const indexed: Value[] = [];
  const builder = new ModuleBuilder(memory);
  const blockStart = report / 4 + 2;

  const addKernel = (name: string, code: LoopPhase['code'], scratchOffset: number, numbers: () => number): void => {
    builder.function({ parameters: ['i32', 'i32', 'i32'], name }, ([base, from, to], scope) => {
      const known = new Map<Value, Local<'i32'>>();
      const prelude: Statement[] = [];
      const address = (value: Value): I32 => {
        const variable = known.get(value) ?? scope.local('i32');
        if (!known.has(value))
          prelude.push(local.set(variable, i32.load(local.get(base), 4 * (wordOf.get(value) as number))));
        known.set(value, variable);
        return local.get(variable);
      };
      const reportIndex = (value: Value, index: I32): Statement => {
        const number = indexed.includes(value) ? indexed.indexOf(value) : indexed.push(value) - 1;
        return when(i32.eqz(i32.load(local.get(base), report)), [
          i32.store(local.get(base), i32.const(number + 1), report),
          i32.store(local.get(base), index, report + 4),
        ]);
      };
      const context: TaskContext = {
        scope,
        address,
        reportIndex,
        argument: (slot) => ({ base: local.get(base), offset: numbers() + 16 * slot }),
        scratch: i32.add(i32.load(local.get(base), 4 * arenaWord), i32.const(scratchOffset)),
      };
      const body = code(context, from, to);
      return [prelude, body];
    });
  };

  // Parameter blocks come first, so that everything behind them has a place when code refers to it.
  tasks.forEach(({ work }, task) => {
    if (work.kind !== 'contraction') return;
    for (const steps of work.plan.phases) {
      for (const { words } of steps) {
        words.forEach((word, i) => {
          if (typeof word === 'number') return;
          const { operand, offset } = word;
          const at = blockStart + blocks.length + i;
          if (operand === 'scratch')
            addresses.push({ word: at, base: { kind: 'arena' }, offset: (scratch[task] as number) + offset });
          else addAddress(at, work.operands[operand] as Value, offset);
        });
        blocks.push(...words.map((word) => (typeof word === 'number' ? word : 0)));
      }
    }
  });
  const counters = 4 * (blockStart + blocks.length);
  const counterWords = tasks.reduce(
    (sum, { work }) =>
      sum +
      (work.kind === 'kernel'
        ? 2 * work.phases.length
        : work.plan.phases.reduce((n, steps) => n + steps.length + 1, 0)),
    0,
  );
  const numbers = Math.ceil((counters + 4 * counterWords) / 16) * 16;

  let block = 4 * blockStart;
  let threadScratchBytes = 0;
  tasks.forEach(({ work }, i) => {
    if (work.kind === 'kernel') {
      work.phases.forEach(({ units, code }, phase) => {
        const name = `k${i}_${phase}`;
        addKernel(name, code, scratch[i] as number, () => numbers);
        phases.push([{ kind: 'kernel', name, units }]);
      });
      return;
    }
    threadScratchBytes = Math.max(threadScratchBytes, work.plan.threadScratchBytes);
    for (const steps of work.plan.phases) {
      phases.push(
        steps.map(({ name, units, words }) => {
          const parameters = block;
          block += 4 * words.length;
          return { kind: 'contraction', name, units, parameters };
        }),
      );
    }
  });
  const bytes = numbers + 16 * program.scalars.length;
  const words = new Int32Array(bytes / 4);
  words.set(blocks, blockStart);
  const table: TableLayout = { words, addresses, report, counters, numbers, bytes };
  return {
    module: builder.toBytes(),
    phases,
    tasks: tasks.map((task) => ({ report: reportOf(task), phases: phasesOf(task) })),
    arenaBytes,
    threadScratchBytes,
    nanoseconds: tasks.reduce((sum, task) => sum + task.nanoseconds, 0),
    table,
    reuse: findReuse(program, tasks),
    indexed,
  };
}

const phasesOf = ({ work }: Task): number => (work.kind === 'kernel' ? work.phases.length : work.plan.phases.length);

const reportOf = ({ description, reads, writes, flops }: Task): KernelReport => ({
  description,
  writes: writes.map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`),
  bytes: [...reads, ...writes].reduce((sum, value) => sum + bytesOf(value), 0),
  flops,
});

/** Finds places in the arena for what lives only during a run: values that are not elsewhere, and each task's scratch. */
function placeValues(tasks: readonly Task[], elsewhere: ReadonlySet<Value>) {
  const lifetimes = new Map<Value, { bytes: number; from: number; to: number }>();
  tasks.forEach((task, i) => {
    for (const value of task.writes)
      if (!lifetimes.has(value)) lifetimes.set(value, { bytes: bytesOf(value), from: i, to: i });
    for (const value of [...task.writes, ...task.reads]) {
      const lifetime = lifetimes.get(value);
      if (lifetime !== undefined) lifetime.to = i;
    }
  });
  const inner = [...lifetimes].filter(([value]) => !elsewhere.has(value));
  const work = tasks.map(({ scratchBytes }, i) => ({ bytes: scratchBytes, from: i, to: i }));
  const { offsets, bytes } = packLifetimes([...inner.map(([, lifetime]) => lifetime), ...work]);
  return {
    arena: new Map(inner.map(([value], i) => [value, offsets[i] as number])),
    scratch: offsets.slice(inner.length),
    bytes,
  };
}

/** Operators and reductions of every place of a kernel's loops. */
function flopsOf({ outer, inner, stages }: LoopKernel): number {
  const count = (loops: readonly { size: number }[]): number => loops.reduce((product, { size }) => product * size, 1);
  return stages.reduce((sum, { scalar, kind, over }) => {
    const operators = [...allParts(scalar)].filter((part) => part.kind === 'apply').length + (kind === 'map' ? 0 : 1);
    return sum + operators * count(outer) * (over === 'outer' && kind === 'map' ? 1 : count(inner));
  }, 0);
}

function loopTask(kernel: LoopKernel): Task {
  const plan = planLoops(kernel);
  const { phases, scratchBytes } = loopPhases(plan);
  const { stages } = plan.kernel;
  const operators = stages.flatMap(({ scalar, kind }) => [
    ...[...allParts(scalar)].flatMap((part) => (part.kind === 'apply' ? [part.operator] : [])),
    ...(kind === 'map' ? [] : [kind]),
  ]);
  return {
    reads: new Set(stages.flatMap(({ scalar }) => loadsOf(scalar).map(({ from }) => from))),
    writes: stages.flatMap(({ store, value }) => (store === undefined ? [] : [value])),
    scratchBytes,
    description: operators.join(' ') || 'copy',
    flops: flopsOf(plan.kernel),
    nanoseconds: loopTime(plan.kernel),
    kernel: plan.kernel,
    work: { kind: 'kernel', phases },
  };
}

function stepTask(value: Value): Task {
  const { units, scratchBytes, code } = planStep(value);
  return {
    reads: new Set(value.inputs),
    writes: [value],
    scratchBytes,
    description: value.primitive,
    flops: 0,
    nanoseconds: stepTime(value),
    work: { kind: 'kernel', phases: [{ units, code }] },
  };
}

function contractionTask(value: Value, buffers: ReadonlySet<Value>): Task {
  const names = operandsOf[value.primitive as keyof typeof operandsOf];
  const views = value.inputs.map((input) => {
    const view = stridedView(input, (other) => buffers.has(other));
    if (view === undefined) throw new Error(`wasm: an input of ${value.primitive} is not in memory`);
    return { ...view, shape: input.shape };
  });
  const plan = planContraction(value, views);
  const flops = contractionFlops(value);
  return {
    reads: new Set(views.map(({ from }) => from)),
    writes: [value],
    scratchBytes: plan.scratchBytes,
    description: value.primitive,
    flops,
    nanoseconds: contractionTime(flops),
    work: {
      kind: 'contraction',
      plan,
      operands: { out: value, ...Object.fromEntries(views.map(({ from }, i) => [names[i], from])) },
    },
  };
}

/** What the runtime calls the inputs. */
const operandsOf = {
  matmul: ['a', 'b'],
  conv: ['a', 'b'],
  attention: ['a', 'b', 'c', 'e'],
  attentionGradient: ['a', 'b', 'c', 'd', 'e'],
} as const;

function planContraction(value: Value, views: readonly View[]): ContractionPlan {
  const dtype = value.dtype as ContractionDType;
  const [a, b, c, d, e] = views as readonly [View, View, View, View, View | undefined];
  const out = { shape: value.shape };
  switch (value.primitive) {
    case 'matmul':
      return planMatmul(dtype, { a, b, out });
    case 'conv':
      return planConv(dtype, { x: a, w: b, out }, value.attributes as ConvAttributes);
    case 'attention':
      return planAttention(
        dtype as 'f32' | 'f64',
        { q: a, k: b, v: c, bias: d },
        value.attributes as AttentionAttributes,
      );
    default:
      return planAttentionGradient(
        dtype as 'f32' | 'f64',
        { q: a, k: b, v: c, g: d, bias: e },
        value.attributes as AttentionAttributes,
      );
  }
}

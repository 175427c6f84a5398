import { TensorError } from '../../errors.ts';

/** What is called for every unit of a phase: a kernel of the plan, or a routine of the contraction runtime. */
export interface PhaseStep {
  readonly kind: 'kernel' | 'contraction';
  readonly name: string;
  readonly units: number;
  /** Offset of its parameter block in the run's table. */
  readonly parameters: number;
}

/** Steps whose units may all run at once. A phase begins when the one before has ended. */
export type Phase = readonly PhaseStep[];

/** A plan as the threads see it. */
export interface ThreadPlan {
  readonly id: number;
  readonly module: WebAssembly.Module;
  readonly phases: readonly Phase[];
  /** Offset in the run's table of words, one for each step and each phase, that are 0 when a run begins. */
  readonly counters: number;
  /** Offset in the run's table of a word that is 0 as long as every index was within range; no phase begins after. */
  readonly report: number;
  /** Whether it is done sooner than another thread would have heard of it. */
  readonly small: boolean;
}

/** Runs plans. */
export interface Threads {
  readonly count: number;
  load(plan: ThreadPlan): void;
  unload(id: number): void;
  /**
   * Resolves when every phase has run, to the time in milliseconds that each took. `scratch` holds `scratchBytes` for each
   * thread. One run at a time.
   */
  run(id: number, table: number, scratch: number, scratchBytes: number): Promise<readonly number[]>;
  /** Ends the threads; a later run is refused. */
  close(): void;
}

/** What a run on a closed device is told. */
export const closed = (): TensorError =>
  new TensorError("wasm: the device was closed; open a new one with openDevice('wasm')");

type Exports = Readonly<Record<string, (...values: number[]) => void>>;

/** Everything on the calling thread: small plans, and all where threads or shared memory cannot be had. */
export class CallingThread implements Threads {
  readonly count = 1;
  readonly #memory: WebAssembly.Memory;
  readonly #contractions: Exports;
  readonly #plans = new Map<number, { phases: readonly Phase[]; report: number; kernels: Exports }>();
  #isClosed = false;

  constructor(memory: WebAssembly.Memory, contractions: WebAssembly.Module) {
    this.#memory = memory;
    this.#contractions = instantiate(contractions, memory);
  }

  has(id: number): boolean {
    return this.#plans.has(id);
  }

  load({ id, module, phases, report }: ThreadPlan): void {
    this.#plans.set(id, { phases, report, kernels: instantiate(module, this.#memory) });
  }

  unload(id: number): void {
    this.#plans.delete(id);
  }

  async run(id: number, table: number, scratch: number): Promise<readonly number[]> {
    if (this.#isClosed) throw closed();
    const plan = this.#plans.get(id);
    if (plan === undefined) return [];
    const reported = new Int32Array(this.#memory.buffer, table + plan.report, 1);
    return plan.phases.map((steps) => {
      if (reported[0] !== 0) return 0;
      const start = performance.now();
      for (const step of steps) {
        if (step.kind === 'kernel') plan.kernels[step.name]?.(table + step.parameters, 0, step.units);
        else {
          for (let unit = 0; unit < step.units; unit++) {
            this.#contractions[step.name]?.(table + step.parameters, unit, scratch);
          }
        }
      }
      return performance.now() - start;
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#plans.clear();
  }
}

const instantiate = (module: WebAssembly.Module, memory: WebAssembly.Memory): Exports =>
  new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;

const coreCount = (): number =>
  globalThis.process?.getBuiltinModule?.('os')?.availableParallelism() ??
  globalThis.navigator?.hardwareConcurrency ??
  1;

/** More threads than this, or than there are cores, only take memory, some ten megabytes each. */
const manyThreads = 64;

/** Throws for what is no number of threads, or one that no machine of this size has a use for. */
export function checkThreads(what: string, count: unknown): void {
  const most = Math.max(manyThreads, coreCount());
  if (!Number.isSafeInteger(count) || (count as number) < 1 || (count as number) > most)
    throw new TensorError(`wasm: ${what} must be a whole number from 1 to ${most}, got ${String(count)}`);
}

/** Threads asked for: `DIFFUSION_DPO_THREADS` where it is set, else one for each core. */
export function defaultThreadCount(): number {
  const asked = globalThis.process?.env?.DIFFUSION_DPO_THREADS;
  if (asked === undefined || asked === '') return coreCount();
  checkThreads('DIFFUSION_DPO_THREADS', /^\d+$/.test(asked) ? Number(asked) : JSON.stringify(asked));
  return Number(asked);
}

/** Whether workers can share a memory here: always in Node, in browsers on pages that are cross-origin isolated. */
export const canShareMemory = (): boolean =>
  typeof SharedArrayBuffer !== 'undefined' &&
  (globalThis.process?.getBuiltinModule !== undefined ||
    (typeof Worker !== 'undefined' && globalThis.crossOriginIsolated));

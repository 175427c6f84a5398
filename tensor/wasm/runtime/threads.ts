import { TensorError } from '../../errors.ts';

/** A function called for every unit: of the plan's module, or of the contraction module. */
export interface PhaseCall {
  readonly kind: 'kernel' | 'contraction';
  readonly name: string;
  readonly units: number;
  /** Offset of its parameter block in the run's table. */
  readonly parameters: number;
}

/** Calls whose units may all run at once. A phase begins when the one before has ended. */
export type Phase = readonly PhaseCall[];

/** What threads need of a plan. */
export interface ThreadPlan {
  readonly id: number;
  readonly module: WebAssembly.Module;
  readonly phases: readonly Phase[];
  /** Offset of the counters in the run's table: a word for each call and each phase, 0 when a run begins. */
  readonly counters: number;
  /** Offset in the run's table of a word that is 0 until an index is out of range; then no further phase begins. */
  readonly report: number;
  /** True for plans that take less time than waking the workers: the calling thread runs them. */
  readonly small: boolean;
}

/** Threads that run plans. */
export interface Threads {
  readonly count: number;
  load(plan: ThreadPlan): void;
  unload(id: number): void;
  /**
   * Runs a plan; resolves to the milliseconds that each phase took. `scratch` is the address of `scratchBytes` bytes for
   * each thread. One run at a time.
   */
  run(id: number, table: number, scratch: number, scratchBytes: number): Promise<readonly number[]>;
  /** Ends the threads; a later run is refused. */
  close(): void;
}

/** The error of a run on a closed device. */
export const closed = (): TensorError =>
  new TensorError("wasm: the device was closed; open a new one with openDevice('wasm')");

type Exports = Readonly<Record<string, (...values: number[]) => void>>;

/** Runs plans on the calling thread: small ones, and all of them where memory cannot be shared with workers. */
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
    return plan.phases.map((calls) => {
      if (reported[0] !== 0) return 0;
      const start = performance.now();
      for (const call of calls) {
        if (call.kind === 'kernel') plan.kernels[call.name]?.(table + call.parameters, 0, call.units);
        else {
          for (let unit = 0; unit < call.units; unit++) {
            this.#contractions[call.name]?.(table + call.parameters, unit, scratch);
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

/** Limit where there are fewer cores: further threads only take memory, some ten megabytes each. */
const manyThreads = 64;

/** Throws unless `count` is a whole number of threads from 1 to 64 or, on larger machines, to the number of cores. */
export function checkThreads(what: string, count: unknown): void {
  const limit = Math.max(manyThreads, coreCount());
  if (!Number.isSafeInteger(count) || (count as number) < 1 || (count as number) > limit)
    throw new TensorError(`wasm: ${what} must be a whole number from 1 to ${limit}, got ${String(count)}`);
}

/** The number of threads that `DIFFUSION_DPO_THREADS` asks for, else the number of cores. */
export function defaultThreadCount(): number {
  const asked = globalThis.process?.env?.DIFFUSION_DPO_THREADS;
  if (asked === undefined || asked === '') return coreCount();
  checkThreads('DIFFUSION_DPO_THREADS', /^\d+$/.test(asked) ? Number(asked) : JSON.stringify(asked));
  return Number(asked);
}

/** True where workers can share a memory: in Node, and in browsers on cross-origin isolated pages. */
export const canShareMemory = (): boolean =>
  typeof SharedArrayBuffer !== 'undefined' &&
  (globalThis.process?.getBuiltinModule !== undefined ||
    (typeof Worker !== 'undefined' && globalThis.crossOriginIsolated));

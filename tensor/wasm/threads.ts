/** What is called for every unit of a phase: a kernel of the plan, or a routine of the contraction runtime. */
export type PhaseStep =
  | { readonly kind: 'kernel'; readonly name: string; readonly units: number }
  /** `parameters`: offset of its parameter block in the run's table. */
  | { readonly kind: 'contraction'; readonly name: string; readonly units: number; readonly parameters: number };

/** Steps whose units may all run at once. A phase begins when the one before has ended. */
export type Phase = readonly PhaseStep[];

/** A plan as the threads see it. */
export interface ThreadPlan {
  readonly id: number;
  readonly module: WebAssembly.Module;
  readonly phases: readonly Phase[];
  /** Offset in the run's table of words, one for each step and each phase, that are 0 when a run begins. */
  readonly counters: number;
}

/** Runs plans. */
export interface Threads {
  readonly count: number;
  load(plan: ThreadPlan): void;
  unload(id: number): void;
  /**
   * Resolves when every phase has run, to the time in milliseconds that each took. `scratch` holds `scratchBytes` for each
   * thread.
   */
  run(id: number, table: number, scratch: number, scratchBytes: number): Promise<readonly number[]>;
}

type Exports = Readonly<Record<string, (...values: number[]) => void>>;

/** Everything on the calling thread: where threads or shared memory cannot be had. */
export class SingleThread implements Threads {
  readonly count = 1;
  readonly #memory: WebAssembly.Memory;
  readonly #contractions: Exports;
  readonly #plans = new Map<number, { phases: readonly Phase[]; kernels: Exports }>();

  constructor(memory: WebAssembly.Memory, contractions: WebAssembly.Module) {
    this.#memory = memory;
    this.#contractions = instantiate(contractions, memory);
  }

  load({ id, module, phases }: ThreadPlan): void {
    this.#plans.set(id, { phases, kernels: instantiate(module, this.#memory) });
  }

  unload(id: number): void {
    this.#plans.delete(id);
  }

  async run(id: number, table: number, scratch: number): Promise<readonly number[]> {
    const plan = this.#plans.get(id);
    return (plan?.phases ?? []).map((steps) => {
      const start = performance.now();
      for (const step of steps) {
        if (step.kind === 'kernel') plan?.kernels[step.name]?.(table, 0, step.units);
        else {
          for (let unit = 0; unit < step.units; unit++) {
            this.#contractions[step.name]?.(table + step.parameters, unit, scratch);
          }
        }
      }
      return performance.now() - start;
    });
  }
}

const instantiate = (module: WebAssembly.Module, memory: WebAssembly.Memory): Exports =>
  new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;

/**
 * What a worker runs, as text: workers start from a file or from text, and text needs no file that a bundler would
 * have to find. Units are claimed from counters in shared memory, and a phase ends when every thread has arrived; waiting
 * spins for a moment before it sleeps.
 */
const workerSource = `
const listen = (receive) => {
  const node = globalThis.process?.getBuiltinModule?.('worker_threads');
  if (node) node.parentPort.on('message', receive);
  else globalThis.onmessage = (event) => receive(event.data);
  return node ? (message) => node.parentPort.postMessage(message) : (message) => globalThis.postMessage(message);
};
let memory, contractions, index, count;
const plans = new Map();
const start = (module) => new WebAssembly.Instance(module, { env: { memory } }).exports;
const wait = (words, at) => {
  for (let spins = 0; spins < 4000; spins++) if (Atomics.load(words, at) >= count) return;
  for (;;) {
    const arrived = Atomics.load(words, at);
    if (arrived >= count) return;
    Atomics.wait(words, at, arrived);
  }
};
const runPlan = ({ id, table, scratch, scratchBytes }) => {
  const { phases, kernels, counters } = plans.get(id);
  const words = new Int32Array(memory.buffer, table + counters, phases.reduce((sum, steps) => sum + steps.length + 1, 0));
  let at = 0;
  const times = [];
  try {
    for (const steps of phases) {
      const start = performance.now();
      for (const step of steps) {
        const grain = Math.max(1, Math.floor(step.units / (count * 8)));
        for (;;) {
          const from = Atomics.add(words, at, grain);
          if (from >= step.units) break;
          const to = Math.min(from + grain, step.units);
          if (step.kind === 'kernel') kernels[step.name](table, from, to);
          else for (let unit = from; unit < to; unit++) contractions[step.name](table + step.parameters, unit, scratch + index * scratchBytes);
        }
        at++;
      }
      if (Atomics.add(words, at, 1) + 1 >= count) Atomics.notify(words, at);
      else wait(words, at);
      at++;
      times.push(performance.now() - start);
    }
  } catch (error) {
    // Lets the others through, so that they end too.
    for (let i = 0; i < words.length; i++) { Atomics.store(words, i, 0x3fffffff); Atomics.notify(words, i); }
    throw error;
  }
  return times;
};
const send = listen((message) => {
  if (message.kind === 'start') ({ memory, index, count } = message), (contractions = start(message.contractions));
  else if (message.kind === 'load') plans.set(message.plan.id, { ...message.plan, kernels: start(message.plan.module) });
  else if (message.kind === 'unload') plans.delete(message.id);
  else {
    let error, times;
    try { times = runPlan(message); } catch (caught) { error = String(caught?.stack ?? caught); }
    send(index === 0 ? { error, times } : { error });
  }
});
`;

/** What a worker says when it is done; the first one also how long each phase took. */
interface Answer {
  readonly error?: string;
  readonly times?: readonly number[];
}

interface WorkerLike {
  post(message: unknown): void;
  /** Whether the process should stay alive for this worker. */
  hold(held: boolean): void;
}

/** Starts a worker in Node or in a browser. */
function startWorker(receive: (message: Answer) => void, fail: (error: unknown) => void): WorkerLike {
  const node = globalThis.process?.getBuiltinModule?.('worker_threads');
  if (node !== undefined) {
    const worker = new node.Worker(workerSource, { eval: true });
    worker.on('message', receive);
    worker.on('error', fail);
    worker.unref();
    return {
      post: (message) => worker.postMessage(message),
      hold: (held) => (held ? worker.ref() : worker.unref()),
    };
  }
  const worker = new Worker(URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' })));
  worker.onmessage = ({ data }) => receive(data as Answer);
  worker.onerror = fail;
  return { post: (message) => worker.postMessage(message), hold: () => undefined };
}

/** Worker threads over a shared memory. The thread that asks never computes and never blocks. */
export class WorkerThreads implements Threads {
  readonly count: number;
  readonly #workers: readonly WorkerLike[];
  #waiting:
    | {
        readonly resolve: (times: readonly number[]) => void;
        readonly reject: (error: unknown) => void;
        missing: number;
        error: string | undefined;
        times: readonly number[] | undefined;
      }
    | undefined;

  constructor(count: number, memory: WebAssembly.Memory, contractions: WebAssembly.Module) {
    this.count = count;
    this.#workers = Array.from({ length: count }, (_, index) => {
      const worker = startWorker(
        (answer) => this.#arrived(answer),
        (error) => this.#waiting?.reject(error),
      );
      worker.post({ kind: 'start', memory, contractions, index, count });
      return worker;
    });
  }

  load(plan: ThreadPlan): void {
    for (const worker of this.#workers) worker.post({ kind: 'load', plan });
  }

  unload(id: number): void {
    for (const worker of this.#workers) worker.post({ kind: 'unload', id });
  }

  async run(id: number, table: number, scratch: number, scratchBytes: number): Promise<readonly number[]> {
    const done = new Promise<readonly number[]>((resolve, reject) => {
      this.#waiting = { resolve, reject, missing: this.count, error: undefined, times: undefined };
    });
    for (const worker of this.#workers) {
      worker.hold(true);
      worker.post({ kind: 'run', id, table, scratch, scratchBytes });
    }
    try {
      return await done;
    } finally {
      for (const worker of this.#workers) worker.hold(false);
    }
  }

  #arrived({ error, times }: Answer): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    waiting.error ??= error;
    waiting.times ??= times;
    waiting.missing -= 1;
    if (waiting.missing > 0) return;
    this.#waiting = undefined;
    if (waiting.error === undefined) waiting.resolve(waiting.times ?? []);
    else waiting.reject(new Error(`wasm: a worker failed: ${waiting.error}`));
  }
}

/** Threads asked for: `DIFFUSION_DPO_THREADS` where it is set, else one for each core. */
export function defaultThreadCount(): number {
  const asked = Number(globalThis.process?.env?.DIFFUSION_DPO_THREADS);
  if (Number.isInteger(asked) && asked > 0) return asked;
  return (
    globalThis.process?.getBuiltinModule?.('os')?.availableParallelism() ??
    globalThis.navigator?.hardwareConcurrency ??
    1
  );
}

/** Whether workers can share a memory here: always in Node, in browsers on pages that are cross-origin isolated. */
export const canShareMemory = (): boolean =>
  typeof SharedArrayBuffer !== 'undefined' &&
  (globalThis.process?.getBuiltinModule !== undefined ||
    (typeof Worker !== 'undefined' && globalThis.crossOriginIsolated));

import { CallingThread, closed, type ThreadPlan, type Threads } from './threads.ts';
import { type Answer, controlBytes, controlWord, workerSource } from './workerSource.ts';

interface WorkerLike {
  post(message: unknown): void;
  end(): void;
  /** Sets whether the worker keeps the process alive (Node only). */
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
      end: () => void worker.terminate(),
      hold: (held) => (held ? worker.ref() : worker.unref()),
    };
  }
  const worker = new Worker(URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' })));
  worker.onmessage = ({ data }) => receive(data as Answer);
  worker.onerror = fail;
  return { post: (message) => worker.postMessage(message), end: () => worker.terminate(), hold: () => undefined };
}

/** The run that the calling thread awaits. */
interface PendingRun {
  readonly resolve: (times: readonly number[]) => void;
  readonly reject: (error: Error) => void;
  times?: readonly number[];
  error?: string;
}

/** Worker threads over a shared memory. The calling thread never blocks, and runs only small plans itself. */
export class WorkerThreads implements Threads {
  readonly count: number;
  readonly #caller: CallingThread;
  readonly #control = new Int32Array(new SharedArrayBuffer(controlBytes));
  readonly #workers: readonly WorkerLike[];
  #pending: PendingRun | undefined;
  #broken: Error | undefined;

  constructor(count: number, memory: WebAssembly.Memory, contractions: WebAssembly.Module) {
    this.count = count;
    this.#caller = new CallingThread(memory, contractions);
    this.#workers = Array.from({ length: count }, (_, index) => {
      const worker = startWorker(
        (answer) => this.#hear(answer),
        (error) => this.#break(error),
      );
      worker.post({ kind: 'start', memory, contractions, index, count, control: this.#control });
      return worker;
    });
  }

  load(plan: ThreadPlan): void {
    if (plan.small) this.#caller.load(plan);
    else this.#post({ kind: 'load', plan });
  }

  unload(id: number): void {
    if (this.#caller.has(id)) this.#caller.unload(id);
    else this.#post({ kind: 'unload', id });
  }

  async run(id: number, table: number, scratch: number, scratchBytes: number): Promise<readonly number[]> {
    if (this.#caller.has(id)) return this.#caller.run(id, table, scratch);
    if (this.#broken !== undefined) throw this.#broken;
    const done = new Promise<readonly number[]>((resolve, reject) => {
      this.#pending = { resolve, reject };
    });
    // One worker is enough to keep the process alive until the run ends.
    this.#workers[0]?.hold(true);
    this.#control.set([id, table, scratch, scratchBytes, 0, 0], controlWord.plan);
    this.#ring(controlWord.runs);
    try {
      return await done;
    } finally {
      this.#pending = undefined;
      this.#workers[0]?.hold(false);
    }
  }

  close(): void {
    this.#caller.close();
    this.#broken = closed();
    this.#pending?.reject(this.#broken);
    for (const worker of this.#workers) worker.end();
  }

  #post(message: unknown): void {
    for (const worker of this.#workers) worker.post(message);
    this.#ring(controlWord.posted);
  }

  /** Increments a word (`posted` or `runs`) and wakes the workers. */
  #ring(word: number): void {
    Atomics.add(this.#control, word, 1);
    Atomics.add(this.#control, controlWord.bell, 1);
    Atomics.notify(this.#control, controlWord.bell);
  }

  #hear(answer: Answer): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    if (answer.kind === 'done') pending.times = answer.times;
    else pending.error ??= answer.error;
    // The message 'done' may arrive before that of a worker that failed earlier.
    if (pending.times === undefined) return;
    if (Atomics.load(this.#control, controlWord.failed) === 0) pending.resolve(pending.times);
    else if (pending.error !== undefined) pending.reject(new Error(`wasm: a worker failed: ${pending.error}`));
  }

  #break(error: unknown): void {
    const text = error instanceof Error ? error.stack : String(error);
    this.#broken = new Error(`wasm: a worker has ended: ${text}`);
    this.#pending?.reject(this.#broken);
  }
}

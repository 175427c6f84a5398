import { CallingThread, closed, type ThreadPlan, type Threads } from './threads.ts';
import { type Answer, controlBytes, controlWord, workerSource } from './workerSource.ts';

interface WorkerLike {
  post(message: unknown): void;
  end(): void;
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
      end: () => void worker.terminate(),
      hold: (held) => (held ? worker.ref() : worker.unref()),
    };
  }
  const worker = new Worker(URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' })));
  worker.onmessage = ({ data }) => receive(data as Answer);
  worker.onerror = fail;
  return { post: (message) => worker.postMessage(message), end: () => worker.terminate(), hold: () => undefined };
}

/** A run that has been asked for. */
interface Waiting {
  readonly resolve: (times: readonly number[]) => void;
  readonly reject: (error: Error) => void;
  times?: readonly number[];
  error?: string;
}

/** Worker threads over a shared memory. The thread that asks never blocks, and computes nothing but small plans. */
export class WorkerThreads implements Threads {
  readonly count: number;
  readonly #caller: CallingThread;
  readonly #control = new Int32Array(new SharedArrayBuffer(controlBytes));
  readonly #workers: readonly WorkerLike[];
  #waiting: Waiting | undefined;
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
      this.#waiting = { resolve, reject };
    });
    // Any one of them keeps the process alive until the answer is there.
    this.#workers[0]?.hold(true);
    this.#control.set([id, table, scratch, scratchBytes, 0, 0], controlWord.plan);
    this.#ring(controlWord.runs);
    try {
      return await done;
    } finally {
      this.#waiting = undefined;
      this.#workers[0]?.hold(false);
    }
  }

  close(): void {
    this.#caller.close();
    this.#broken = closed();
    this.#waiting?.reject(this.#broken);
    for (const worker of this.#workers) worker.end();
  }

  #post(message: unknown): void {
    for (const worker of this.#workers) worker.post(message);
    this.#ring(controlWord.posted);
  }

  /** Counts something new, and tells the workers. */
  #ring(what: number): void {
    Atomics.add(this.#control, what, 1);
    Atomics.add(this.#control, controlWord.bell, 1);
    Atomics.notify(this.#control, controlWord.bell);
  }

  #hear(answer: Answer): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    if (answer.kind === 'done') waiting.times = answer.times;
    else waiting.error ??= answer.error;
    // The last one may be heard before one that failed earlier.
    if (waiting.times === undefined) return;
    if (Atomics.load(this.#control, controlWord.failed) === 0) waiting.resolve(waiting.times);
    else if (waiting.error !== undefined) waiting.reject(new Error(`wasm: a worker failed: ${waiting.error}`));
  }

  #break(error: unknown): void {
    const text = error instanceof Error ? error.stack : String(error);
    this.#broken = new Error(`wasm: a worker has ended: ${text}`);
    this.#waiting?.reject(this.#broken);
  }
}

/**
 * Words of the block that the calling thread shares with its workers. `bell` changes with every message and every run;
 * `posted` counts messages, `runs` counts runs. The words after them describe the current run: `arrived` counts workers
 * that have finished it, `failed` those that threw.
 */
export const controlWord = {
  bell: 0,
  posted: 1,
  runs: 2,
  plan: 3,
  table: 4,
  scratch: 5,
  scratchBytes: 6,
  arrived: 7,
  failed: 8,
} as const;

export const controlBytes = 4 * Object.keys(controlWord).length;

/** A message from a worker: the last one to finish a run sends the times of its phases, one that throws its error. */
export type Answer =
  | { readonly kind: 'done'; readonly times: readonly number[] }
  | { readonly kind: 'failed'; readonly error: string };

/** Values of a barrier's word once all threads have arrived; until then it counts the arrived threads. */
const signal = { goOn: 0x20000000, stop: 0x3fffffff } as const;

/** Milliseconds that a waiting thread spins before it sleeps: waking takes longer, but others may need its core. */
const spinMilliseconds = 0.02;

/**
 * The program of a worker, as text, so that bundlers need not find a file.
 *
 * A worker watches the bell: it spins for a moment, then sleeps. Runs start by the bell, because waking a thread takes
 * less time than sending it a message. Plans come as messages through the event loop, so a worker stops watching when a
 * message is posted.
 *
 * Workers claim units from counters in shared memory, in ever smaller pieces; a phase ends when every worker has arrived
 * at its barrier. No phase begins after an index out of range. After the last phase nobody waits: the last worker reports.
 */
export const workerSource = `
const word = ${JSON.stringify(controlWord)};
const listen = (receive) => {
  const node = globalThis.process?.getBuiltinModule?.('worker_threads');
  if (node) node.parentPort.on('message', receive);
  else globalThis.onmessage = (event) => receive(event.data);
  return node ? (message) => node.parentPort.postMessage(message) : (message) => globalThis.postMessage(message);
};
let memory, contractions, index, count, control;
let received = 0, ran = 0;
const plans = new Map();
const start = (module) => new WebAssembly.Instance(module, { env: { memory } }).exports;
const sleep = (words, at, known) => {
  const end = performance.now() + ${spinMilliseconds};
  do {
    for (let i = 0; i < 500; i++) if (Atomics.load(words, at) !== known) return;
  } while (performance.now() < end);
  Atomics.wait(words, at, known);
};
const claim = (words, at, units) => {
  for (;;) {
    const from = Atomics.load(words, at);
    if (from >= units) return [units, units];
    const to = from + Math.max(1, Math.floor((units - from) / (count * 4)));
    if (Atomics.compareExchange(words, at, from, to) === from) return [from, to];
  }
};
const runPlan = ({ phases, kernels, counters, report, failure }, table, scratch) => {
  if (failure) throw failure;
  const words = new Int32Array(memory.buffer, table + counters, phases.reduce((sum, calls) => sum + calls.length + 1, 0));
  const reported = new Int32Array(memory.buffer, table + report, 1);
  let at = 0;
  const times = [];
  try {
    for (const [phase, calls] of phases.entries()) {
      const begin = performance.now();
      for (const { kind, name, units, parameters } of calls) {
        for (;;) {
          const [from, to] = claim(words, at, units);
          if (from >= units) break;
          if (kind === 'kernel') kernels[name](table + parameters, from, to);
          else for (let unit = from; unit < to; unit++) contractions[name](table + parameters, unit, scratch);
        }
        at++;
      }
      if (phase < phases.length - 1) {
        // The last thread to arrive decides for all.
        if (Atomics.add(words, at, 1) + 1 === count) {
          Atomics.store(words, at, Atomics.load(reported, 0) === 0 ? ${signal.goOn} : ${signal.stop});
          Atomics.notify(words, at);
        } else for (let n; (n = Atomics.load(words, at)) < ${signal.goOn}; ) sleep(words, at, n);
      }
      times.push(performance.now() - begin);
      if (Atomics.load(words, at++) === ${signal.stop}) break;
    }
  } catch (error) {
    // Makes the other workers stop too.
    for (let i = 0; i < words.length; i++) { Atomics.store(words, i, ${signal.stop}); Atomics.notify(words, i); }
    throw error;
  }
  return times;
};
const run = () => {
  // Addresses may exceed 2^31.
  const [plan, table, scratch, scratchBytes] = Array.from(control.subarray(word.plan, word.scratchBytes + 1), (x) => x >>> 0);
  let times = [];
  try {
    times = runPlan(plans.get(plan), table, scratch + index * scratchBytes);
  } catch (error) {
    Atomics.add(control, word.failed, 1);
    send({ kind: 'failed', error: String(error?.stack ?? error) });
  }
  if (Atomics.add(control, word.arrived, 1) + 1 === count) send({ kind: 'done', times });
};
const watch = () => {
  for (;;) {
    const bell = Atomics.load(control, word.bell);
    if (Atomics.load(control, word.posted) !== received) return;
    if (Atomics.load(control, word.runs) === ran) sleep(control, word.bell, bell);
    else {
      ran = (ran + 1) | 0;
      run();
    }
  }
};
const load = (plan) => {
  // An error here is reported when the plan runs.
  try { plans.set(plan.id, { ...plan, kernels: start(plan.module) }); }
  catch (failure) { plans.set(plan.id, { failure }); }
};
const send = listen((message) => {
  if (message.kind === 'start') {
    ({ memory, index, count, control } = message);
    contractions = start(message.contractions);
  } else {
    received++;
    if (message.kind === 'load') load(message.plan);
    else plans.delete(message.id);
  }
  watch();
});
`;

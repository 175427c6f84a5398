/**
 * Words of the block that the asking thread shares with its workers. `bell` changes whenever there is something new:
 * messages, of which `posted` have been sent, or a run, of which `runs` have been asked for. What to run follows;
 * `arrived` counts the workers that are done with it, and `failed` those that could not do it.
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

/** What a worker says: the last one to finish a run how long each phase took, and one that fails why. */
export type Answer =
  | { readonly kind: 'done'; readonly times: readonly number[] }
  | { readonly kind: 'failed'; readonly error: string };

/** What a word at which threads meet holds when all are there: above any number of threads. */
const signal = { goOn: 0x20000000, stop: 0x3fffffff } as const;

/** Milliseconds that a thread that waits stays awake: waking takes longer, but who is waited for may need its core. */
const awake = 0.02;

/**
 * What a worker runs, as text: workers start from a file or from text, and text needs no file that a bundler would
 * have to find.
 *
 * A worker watches the bell, for a moment awake and then asleep. Runs are rung for, because waking a thread takes less
 * time than sending it a message; messages bring plans, and come through the event loop, so the watch ends for them.
 *
 * Units are claimed from counters in shared memory, in ever smaller pieces, and a phase ends when every thread has arrived.
 * Once an index was out of range, none begins. After the last phase nobody waits: whoever is last reports.
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
  const end = performance.now() + ${awake};
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
  const words = new Int32Array(memory.buffer, table + counters, phases.reduce((sum, steps) => sum + steps.length + 1, 0));
  const reported = new Int32Array(memory.buffer, table + report, 1);
  let at = 0;
  const times = [];
  try {
    for (const [phase, steps] of phases.entries()) {
      const begin = performance.now();
      for (const { kind, name, units, parameters } of steps) {
        for (;;) {
          const [from, to] = claim(words, at, units);
          if (from >= units) break;
          if (kind === 'kernel') kernels[name](table + parameters, from, to);
          else for (let unit = from; unit < to; unit++) contractions[name](table + parameters, unit, scratch);
        }
        at++;
      }
      if (phase < phases.length - 1) {
        // Whoever comes last decides for all of them.
        if (Atomics.add(words, at, 1) + 1 === count) {
          Atomics.store(words, at, Atomics.load(reported, 0) === 0 ? ${signal.goOn} : ${signal.stop});
          Atomics.notify(words, at);
        } else for (let n; (n = Atomics.load(words, at)) < ${signal.goOn}; ) sleep(words, at, n);
      }
      times.push(performance.now() - begin);
      if (Atomics.load(words, at++) === ${signal.stop}) break;
    }
  } catch (error) {
    // Stops the others too.
    for (let i = 0; i < words.length; i++) { Atomics.store(words, i, ${signal.stop}); Atomics.notify(words, i); }
    throw error;
  }
  return times;
};
const run = () => {
  // Addresses reach beyond what a signed word holds.
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
  // What goes wrong here is said when the plan is to run.
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

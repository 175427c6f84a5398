/** Milliseconds that computing keeps the thread for itself. */
const longest = 50;

let rested = performance.now();

/**
 * Ends when events that wait have had their turn. Browsers delay timers, of pages in the background by a second, but not
 * messages; where there are neither messages nor Node's `setImmediate`, there are no events.
 */
async function turn(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve));
  if (typeof MessageChannel !== 'function') return;
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(undefined);
  });
  port1.close();
}

/**
 * Lets signals, timers and a page's events have their turn, if it is some time since they had it. Promises alone do not: a
 * program that computes one small graph after another would not hear Ctrl-C until its end.
 */
export async function rest(): Promise<void> {
  if (performance.now() - rested < longest) return;
  await turn();
  rested = performance.now();
}

/** Milliseconds for which a computation may block the thread's events. */
const longestBlock = 50;

let rested = performance.now();

/**
 * Resolves after pending events have been handled. It uses messages in browsers, because they delay timers (by a second in
 * background pages). Platforms with neither messages nor Node's `setImmediate` have no events.
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
 * Lets signals, timers and page events be handled, if the last time was 50 ms ago or more. Awaiting promises alone does not: a
 * program that computes one small graph after another would react to Ctrl-C only at its end.
 */
export async function rest(): Promise<void> {
  if (performance.now() - rested < longestBlock) return;
  await turn();
  rested = performance.now();
}

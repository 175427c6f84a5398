/** Milliseconds that computing keeps the thread for itself. */
const longest = 50;

let rested = performance.now();

/**
 * Lets signals, timers and a page's events have their turn, if it is some time since they had it. Promises alone do not: a
 * program that computes one small graph after another would not hear Ctrl-C until its end.
 */
export async function rest(): Promise<void> {
  if (performance.now() - rested < longest) return;
  await new Promise((resolve) => setTimeout(resolve, 0));
  rested = performance.now();
}

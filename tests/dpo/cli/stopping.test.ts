import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const terminal = vi.hoisted(() => ({ isThere: false }));
vi.mock('node:tty', () => ({ isatty: () => terminal.isThere }));

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const before = new Map(signals.map((name) => [name, process.listeners(name)]));
const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
const write = vi.spyOn(console, 'error').mockImplementation(() => undefined);
const now = vi.spyOn(performance, 'now');

/** The module with nothing under way. */
async function fresh() {
  vi.resetModules();
  return import('../../../dpo/cli/stopping.node.ts');
}
const send = (name: (typeof signals)[number], at: number): void => {
  now.mockReturnValue(at);
  process.emit(name, name);
};

beforeEach(() => {
  for (const mock of [exit, write]) mock.mockClear();
});
afterEach(() => {
  for (const name of signals)
    for (const listener of process.listeners(name))
      if (!before.get(name)?.includes(listener)) process.off(name, listener);
  now.mockReset();
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s stops work after its step; the status of the process is %i', async (name, status) => {
  const { interruptible, stoppedStatus } = await fresh();
  const signal = interruptible();
  expect(signal.aborted).toBe(false);
  send(name, 1000);
  expect(signal.aborted).toBe(true);
  expect(stoppedStatus(signal)).toBe(status);
  expect(exit).not.toHaveBeenCalled();
  const said = write.mock.calls.join('');
  if (name === 'SIGINT') expect(said).toContain('press Ctrl-C again to stop at once');
  else expect(said).toBe('');
});

test('a second Ctrl-C ends the process at once, but not what programs in between pass on of the first', async () => {
  const { interruptible, stoppedStatus } = await fresh();
  const signal = interruptible();
  for (const at of [1000, 1000, 1030, 1500]) send('SIGINT', at);
  expect(exit).not.toHaveBeenCalled();
  send('SIGINT', 1501);
  expect(exit.mock.calls).toEqual([[130]]);
  expect(stoppedStatus(signal)).toBe(130);
});

test('after one signal another one that insists ends the process; one that the shell repeats does not', async () => {
  const { interruptible, stoppedStatus } = await fresh();
  const signal = interruptible();
  send('SIGHUP', 1000);
  send('SIGHUP', 9000);
  expect(exit).not.toHaveBeenCalled();
  send('SIGTERM', 9000);
  send('SIGINT', 9000);
  expect(exit.mock.calls).toEqual([[143], [130]]);
  expect(stoppedStatus(signal)).toBe(129);
});

test('a lost output stops work that is under way, and ends the process where none is', async () => {
  const { interruptible, statusOf, stop, stoppedStatus } = await fresh();
  exit.mockImplementationOnce(() => {
    throw new Error('ended');
  });
  expect(() => stop(statusOf.closed)).toThrow('ended');
  expect(exit.mock.calls).toEqual([[141]]);
  const signal = interruptible();
  stop(statusOf.closed);
  expect(exit).toHaveBeenCalledTimes(1);
  expect(stoppedStatus(signal)).toBe(141);
});

test('where there was a terminal that hangs up, its signal ends the process in the end', async () => {
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  terminal.isThere = true;
  const others = process.listeners('exit');
  const { interruptible } = await fresh();
  terminal.isThere = false;
  interruptible();
  send('SIGHUP', 1000);
  const added = process.listeners('exit').filter((one) => !others.includes(one));
  for (const listener of added) {
    process.off('exit', listener);
    listener(129);
  }
  expect(kill.mock.calls).toEqual([[process.pid, 'SIGHUP']]);
  kill.mockRestore();
});

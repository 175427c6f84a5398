import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { countUp, get, int, product } from '../../../tensor/wasm/assembler/control.ts';
import { i32, unreachable, when } from '../../../tensor/wasm/assembler/instructions.ts';
import { ModuleBuilder } from '../../../tensor/wasm/assembler/module.ts';
import { contractionModule } from '../../../tensor/wasm/contractions/module.ts';
import type { Phase } from '../../../tensor/wasm/runtime/threads.ts';
import { WorkerThreads } from '../../../tensor/wasm/runtime/workerThreads.ts';

const limits = { initial: 2, maximum: 2, shared: true };
const table = 1024;
const counters = 512;
const data = 65536;

/** Threads over a memory, and a module in which unit u of `mark` adds 1 to word u, and unit 3 of `fail` traps. */
function open(count: number) {
  const memory = new WebAssembly.Memory(limits);
  const threads = new WorkerThreads(
    count,
    memory,
    new WebAssembly.Module(contractionModule({ relaxed: false, memory: limits })),
  );
  const builder = new ModuleBuilder(limits);
  const parameters = ['i32', 'i32', 'i32'] as const;
  builder.function({ parameters, name: 'mark' }, ([, from, to]) => {
    const word = product(get(from), int(4));
    return countUp(from, get(to), 1, i32.store(word, i32.add(i32.load(word, data), int(1)), data));
  });
  builder.function({ parameters, name: 'fail' }, ([, from, to]) =>
    countUp(from, get(to), 1, when(i32.eq(get(from), int(3)), [unreachable])),
  );
  const module = new WebAssembly.Module(builder.toBytes());
  const words = new Int32Array(memory.buffer);
  const run = (id: number) => {
    words.fill(0, table / 4, table / 4 + 256);
    return threads.run(id, table, 0, 0);
  };
  const load = (id: number, phases: readonly Phase[], small = false) =>
    threads.load({ id, module, phases, counters, report: 0, small });
  const marks = (units: number): number[] => Array.from(words.subarray(data / 4, data / 4 + units));
  return { threads, load, run, marks };
}

const step = (name: string, units: number): Phase => [{ kind: 'kernel', name, units, parameters: 0 }];

test('every unit of every phase runs once', async () => {
  for (const count of [1, 2, 5]) {
    const { threads, load, run, marks } = open(count);
    load(0, [step('mark', 1000), step('mark', 1), [...step('mark', 7), ...step('mark', 0)], step('mark', 1000)]);
    load(1, [step('mark', 1000)], true);
    load(2, []);
    for (let i = 1; i <= 20; i++) {
      expect((await run(0)).length).toBe(4);
      expect((await run(1)).length).toBe(1);
      expect(await run(2)).toEqual([]);
      expect(marks(1000)).toEqual(Array.from({ length: 1000 }, (_, u) => i * (u < 1 ? 5 : u < 7 ? 4 : 3)));
    }
    // Plans come and go between runs.
    threads.unload(1);
    for (let id = 3; id < 40; id++) {
      load(id, [step('mark', 10)]);
      await run(id);
      threads.unload(id);
    }
    expect(marks(1)).toEqual([20 * 5 + 37]);
  }
});

test('a run that fails is an error, and the next one runs', async () => {
  for (const count of [1, 3]) {
    const { load, run, marks } = open(count);
    load(0, [step('mark', 10), step('fail', 10), step('mark', 10)]);
    load(1, [step('mark', 10)]);
    for (let i = 0; i < 5; i++) {
      await expect(run(0)).rejects.toThrow(/a worker failed: .*unreachable/s);
      const before = marks(10);
      await run(1);
      expect(marks(10)).toEqual(before.map((n) => n + 1));
    }
    await expect(run(7)).rejects.toThrow(/a worker failed/);
  }
});

test('threads that sleep and threads that are in the middle of a run end with the process', async () => {
  const script = `
    import { ones, matmul, openDevice, realize } from './tensor/index.ts';
    const device = await openDevice('wasm', { threads: 3 });
    const x = await realize(ones([700, 700]), { device });
    await realize(matmul(x, x));
    await new Promise((resolve) => setTimeout(resolve, 200));
    console.log('asleep');
    if (process.argv.includes('running')) { realize(matmul(x, x)); await new Promise((r) => setTimeout(r, 1)); process.exit(5); }`;
  const start = (...more: string[]) =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, '--', ...more], {
      timeout: 60_000,
    });
  expect((await start()).stdout).toBe('asleep\n');
  await expect(start('running')).rejects.toMatchObject({ code: 5, stdout: 'asleep\n' });
});

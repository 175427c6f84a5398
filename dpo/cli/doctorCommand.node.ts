import { availableParallelism, freemem, totalmem } from 'node:os';
import { Command } from 'commander';
import { grad } from '../../autograd/index.ts';
import {
  type Device,
  type DeviceKind,
  key,
  matmul,
  openDevice,
  random,
  read,
  realize,
  type Tensor,
} from '../../tensor/index.ts';
import { versions } from '../version.node.ts';
import { printResult } from './terminal.node.ts';

/** The result of examining one kind of device. */
interface Finding {
  readonly kind: DeviceKind;
  readonly description?: string;
  readonly dtypes?: readonly string[];
  readonly abilities?: Device['abilities'];
  /** Speed of a 512 × 512 × 512 matrix product in f32. */
  readonly gflops?: number;
  /** Largest absolute difference of a gradient from the reference executor's, relative to the gradient's largest element. */
  readonly error?: number;
  readonly problem?: string;
}

/** Gradient of a small network with a matrix product, gelu and softmax, [24, 12]. */
function probe(device?: Device): Promise<ArrayLike<number>> {
  const [x, w] = [random.normal(key(1), [16, 24]), random.normal(key(2), [24, 12])];
  const loss = (weights: Tensor): Tensor => matmul(x, weights).gelu().softmax(1).square().sum();
  return realize(grad(loss)(w), device === undefined ? {} : { device }).then(read);
}

/** The best of five runs. */
async function gflopsOf(device: Device): Promise<number> {
  const n = 512;
  const [a, b] = await realize([random.normal(key(3), [n, n]), random.normal(key(4), [n, n])] as const, { device });
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await realize(matmul(a, b));
    best = Math.min(best, performance.now() - start);
  }
  return (2 * n ** 3) / best / 1e6;
}

async function examine(kind: DeviceKind, expected: ArrayLike<number>): Promise<Finding> {
  try {
    const device = await openDevice(kind);
    const found = await probe(device);
    const largest = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const error = Array.from(found).reduce(
      (most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))),
      0,
    );
    const speed = kind === 'reference' ? {} : { gflops: await gflopsOf(device) };
    const { description, dtypes, abilities } = device;
    return {
      kind,
      description,
      dtypes: [...dtypes],
      ...(abilities && { abilities }),
      ...speed,
      error: error / largest,
    };
  } catch (error) {
    return { kind, problem: (error as Error).message };
  }
}

/** Limit of the relative error; rounding in f32 stays well below it. */
const tolerance = 1e-4;

/** `doctor`: the devices of this machine; exit status 1 where a self-test fails. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('List the devices of this machine, with a self-test and the speed of each.')
    .option('--json', 'print as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const expected = await probe(await openDevice('reference'));
      const findings: Finding[] = [];
      for (const kind of ['webgpu', 'wasm', 'reference'] as const) findings.push(await examine(kind, expected));
      const auto = await openDevice('auto');
      const machine = {
        versions: await versions(),
        threads: availableParallelism(),
        memory: totalmem(),
        free: freemem(),
        auto: auto.description,
      };
      const isGood = ({ error }: Finding): boolean => error === undefined || error < tolerance;
      if (json) printResult(JSON.stringify({ ...machine, devices: findings }, null, 2));
      else {
        printResult(
          Object.entries(machine.versions)
            .map(([name, version]) => `${name} ${version}`)
            .join(', '),
        );
        printResult(
          `${machine.threads} threads, ${(machine.free / 2 ** 30).toFixed(1)} of ${(machine.memory / 2 ** 30).toFixed(1)} GiB of memory free`,
        );
        for (const finding of findings) {
          const { kind, description, gflops, error, problem, dtypes, abilities } = finding;
          if (problem !== undefined) printResult(`${kind}: not available: ${problem}`);
          else {
            const speed = gflops === undefined ? '' : `, ${gflops.toFixed(1)} GFLOP/s`;
            const verdict = isGood(finding) ? 'self-test passed' : 'SELF-TEST FAILED';
            printResult(
              `${kind}: ${description}${speed}; ${dtypes?.join(' ')}; ${verdict} (error ${error?.toExponential(1)})`,
            );
            if (abilities !== undefined) {
              const limits = Object.entries(abilities.limits).map(([name, limit]) => `${name} ${limit}`);
              printResult(`  features: ${abilities.features.join(', ') || 'none'}; limits: ${limits.join(', ')}`);
            }
          }
        }
        printResult(`auto takes ${machine.auto}`);
      }
      if (!findings.every(isGood)) process.exitCode = 1;
    });
}

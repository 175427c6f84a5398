import type { Device, KernelReport, PlanReport, Run } from './device.ts';
import { byteSize } from './dtype.ts';
import { TensorError } from './errors.ts';
import { withRun } from './evaluate.ts';
import { inputsOf, type Tensor } from './tensor.ts';
import { NumbersByTensor } from './tensorIds.ts';

const engineering = (value: number, unit: string): string => {
  const scales = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const;
  const [scale, prefix] = scales.find(([least]) => value >= least) ?? [1, ''];
  return `${(value / scale).toPrecision(3)} ${prefix}${unit}`;
};

/** Formats a plan as a table: one line for each kernel, and a total. */
export function formatPlan({ device, kernels, workingBytes, peakBytes }: PlanReport): string {
  const sum = (value: (kernel: KernelReport) => number): number =>
    kernels.reduce((total, kernel) => total + value(kernel), 0);
  const cells = (
    name: string,
    writes: string,
    bytes: number,
    flops: number,
    milliseconds: number | undefined,
  ): string[] => [
    ...(milliseconds === undefined
      ? []
      : [`${milliseconds.toFixed(3)} ms`, `${engineering((1e3 * flops) / milliseconds, 'FLOP/s')}`]),
    engineering(bytes, 'B'),
    engineering(flops, 'FLOP'),
    writes,
    name.length > 80 ? `${name.slice(0, 79)}…` : name,
  ];
  const timed = kernels.some(({ milliseconds }) => milliseconds !== undefined);
  const rows = kernels.map(({ description, writes, bytes, flops, milliseconds }) =>
    cells(description, writes.join(' '), bytes, flops, milliseconds),
  );
  const total = timed ? sum(({ milliseconds = 0 }) => milliseconds) : undefined;
  rows.push(
    cells(
      `${kernels.length} kernels, ${engineering(workingBytes, 'B')} for intermediate values, peak ${engineering(peakBytes, 'B')}`,
      'total',
      sum(({ bytes }) => bytes),
      sum(({ flops }) => flops),
      total,
    ),
  );
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) =>
        i < row.length - 2 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(i < row.length - 1 ? (widths[i] ?? 0) : 0),
      )
      .join('  '),
  );
  return [device, ...lines].join('\n');
}

/** Formats a profile as JSON in Chrome's trace format, for `chrome://tracing` or Perfetto. */
export function chromeTrace({ device, kernels }: PlanReport): string {
  let start = 0;
  const traceEvents = kernels.map(({ description, milliseconds = 0, bytes, flops, writes }) => {
    const event = {
      name: description,
      ph: 'X',
      pid: 1,
      tid: 1,
      ts: start,
      dur: 1e3 * milliseconds,
      args: { writes, bytes, flops },
    };
    start += 1e3 * milliseconds;
    return event;
  });
  return JSON.stringify({ traceEvents, otherData: { device } });
}

const report = (tree: unknown, requested: Device | undefined, timed: boolean): Promise<PlanReport> =>
  withRun(tree, requested, async (device, run) => {
    if (device.plan === undefined) {
      throw new TensorError(
        `${timed ? 'profile' : 'explain'}: the device '${device.name}' evaluates node by node and has no plan; use another device`,
      );
    }
    const plan = await device.plan(run, timed);
    return { ...plan, peakBytes: plan.workingBytes + bytesOf(leavesOf(run)) + bytesOf(run.outputs) };
  });

/** The tensors that a run reads and does not compute. */
function leavesOf({ order }: Run): Tensor[] {
  const seen = new NumbersByTensor(order);
  order.forEach((tensor, i) => {
    seen.set(tensor, i);
  });
  const leaves: Tensor[] = [];
  for (const tensor of order) {
    for (const input of inputsOf(tensor)) {
      if (seen.get(input) !== undefined) continue;
      seen.set(input, -1);
      leaves.push(input);
    }
  }
  return leaves;
}

const bytesOf = (tensors: Iterable<Tensor>): number => {
  let sum = 0;
  for (const { dtype, size } of tensors) sum += size * byteSize[dtype];
  return sum;
};

/**
 * Plans how a device would compute a tree, without running it: the kernels with the bytes they move and the operations they
 * do, and the memory of intermediate values. Throws `TensorError` for devices without plans, such as `reference`.
 *
 * ```ts
 * console.log(formatPlan(await explain(softmax(x))));
 * ```
 */
export const explain = (tree: unknown, { device }: { readonly device?: Device } = {}): Promise<PlanReport> =>
  report(tree, device, false);

/**
 * Computes a tree once, discards the results, and reports how long each kernel took. Use the second of two calls: the first one
 * also compiles. Throws like `explain`.
 */
export const profile = (tree: unknown, { device }: { readonly device?: Device } = {}): Promise<PlanReport> =>
  report(tree, device, true);

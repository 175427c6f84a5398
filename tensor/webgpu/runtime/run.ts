import type { Program } from '../../compiler/program.ts';
import { copyOutputs } from '../../executor/copyOutputs.ts';
import { sizeOf } from '../../shape.ts';
import type { Plan, Spot } from '../plan.ts';
import type { Binding } from '../wgsl/shader.ts';
import { mapForRead, usage } from './gpu.ts';
import type { Pipeline } from './pipelines.ts';
import { deviceBytes } from './transfers.ts';

/** A plan whose shaders are compiled. */
export interface ReadyPlan {
  readonly plan: Plan;
  readonly pipelines: readonly Pipeline[];
  readonly numbers: GPUBuffer | undefined;
  /** Along one dimension; here because asking the device takes long. */
  readonly mostWorkgroups: number;
  /** What each kernel was given in its latest runs, latest first: making a group takes longer than all else in a run. */
  readonly groups: KernelGroup[][];
  /** The buffers of its latest run, its own and new outputs': taken again where they are free, so that groups stay the same. */
  slots: readonly GPUBuffer[];
  results: readonly (GPUBuffer | undefined)[];
}

interface KernelGroup {
  readonly buffers: readonly GPUBuffer[];
  readonly group: GPUBindGroup;
}

/** Training with donation takes turns between two sets of buffers. */
const keptGroups = 2;

/** The memory of one run. */
export interface RunBuffers {
  readonly leaves: readonly GPUBuffer[];
  readonly results: readonly GPUBuffer[];
  readonly slots: readonly GPUBuffer[];
  /** Where bad indices are reported, and where the host reads that. */
  readonly report: { readonly own: GPUBuffer; readonly copy: GPUBuffer; readonly bytes: number } | undefined;
}

/** What a kernel is given in a run. */
function groupOf(
  device: GPUDevice,
  { plan, pipelines, numbers, groups }: ReadyPlan,
  index: number,
  buffers: RunBuffers,
): GPUBindGroup {
  const bufferAt = (spot: Spot): GPUBuffer => {
    if (spot.kind === 'report') return buffers.report?.own as GPUBuffer;
    const list = spot.kind === 'leaf' ? buffers.leaves : spot.kind === 'output' ? buffers.results : buffers.slots;
    return list[spot.kind === 'leaf' ? spot.slot : spot.index] as GPUBuffer;
  };
  const { kernel, spots, numbersAt } = plan.kernels[index] as Plan['kernels'][number];
  const bound = spots.map(bufferAt);
  groups[index] ??= [];
  const kept = groups[index];
  const known = kept.find((one) => one.buffers.every((buffer, i) => buffer === bound[i]));
  if (known !== undefined) return known.group;
  const entries = bound.map((buffer, i): GPUBindGroupEntry => {
    const { offset, bytes } = kernel.bindings[i] as Binding;
    // A buffer may be larger than what it holds, and than what can be bound.
    return { binding: i + 1, resource: { buffer, ...(bytes > 0 && { offset, size: bytes }) } };
  });
  if (kernel.numbers.length > 0) {
    const size = 16 * Math.ceil(kernel.numbers.length / 4);
    entries.unshift({ binding: 0, resource: { buffer: numbers as GPUBuffer, offset: numbersAt, size } });
  }
  const { layout } = pipelines[index] as Pipeline;
  const group = device.createBindGroup({ label: kernel.label, layout, entries });
  kept.unshift({ buffers: bound, group });
  kept.length = Math.min(kept.length, keptGroups);
  return group;
}

/** Adds one kernel to a pass. */
function addKernel(
  device: GPUDevice,
  pass: GPUComputePassEncoder,
  ready: ReadyPlan,
  index: number,
  buffers: RunBuffers,
): void {
  const { kernel } = ready.plan.kernels[index] as Plan['kernels'][number];
  pass.setPipeline((ready.pipelines[index] as Pipeline).pipeline);
  pass.setBindGroup(0, groupOf(device, ready, index, buffers));
  // More groups than fit along one dimension are spread over two; shaders know their number, and how many they are.
  const high = Math.ceil(kernel.workgroups / ready.mostWorkgroups);
  pass.dispatchWorkgroups(Math.ceil(kernel.workgroups / high), high);
}

/** Lets the host read the report, which is cleared before the kernels. */
function addReport(encoder: GPUCommandEncoder, { report }: RunBuffers): void {
  if (report !== undefined) encoder.copyBufferToBuffer(report.own, 0, report.copy, 0, report.bytes);
}

/** Copies the outputs that no kernel writes. */
function addCopies(encoder: GPUCommandEncoder, program: Program, { leaves, results }: RunBuffers): void {
  copyOutputs(program, leaves, results, (source, target, { dtype, shape }) => {
    const bytes = deviceBytes(dtype, sizeOf(shape));
    if (bytes > 0) encoder.copyBufferToBuffer(source, 0, target, 0, bytes);
  });
}

function begin(device: GPUDevice, { report }: RunBuffers): GPUCommandEncoder {
  const encoder = device.createCommandEncoder();
  if (report !== undefined) encoder.clearBuffer(report.own, 0, report.bytes);
  return encoder;
}

/** Hands the first so many kernels of a run to the device, with its report; what it gives hands over the rest. */
export function submitRun(
  device: GPUDevice,
  program: Program,
  ready: ReadyPlan,
  buffers: RunBuffers,
  first: number,
): () => void {
  const { length } = ready.plan.kernels;
  const addKernels = (encoder: GPUCommandEncoder, from: number, to: number): void => {
    if (from === to) return;
    const pass = encoder.beginComputePass();
    for (let i = from; i < to; i++) addKernel(device, pass, ready, i, buffers);
    pass.end();
  };
  const encoder = begin(device, buffers);
  addKernels(encoder, 0, first);
  addReport(encoder, buffers);
  if (first === length) {
    addCopies(encoder, program, buffers);
    device.queue.submit([encoder.finish()]);
    return () => undefined;
  }
  // Recorded now, so that the device does not wait for that too.
  const later = device.createCommandEncoder();
  addKernels(later, first, length);
  addCopies(later, program, buffers);
  const rest = later.finish();
  device.queue.submit([encoder.finish()]);
  return () => device.queue.submit([rest]);
}

/** The first kernel that cannot even be recorded, with why: after a run has failed, to tell which it was. */
export async function findFault(
  device: GPUDevice,
  ready: ReadyPlan,
  buffers: RunBuffers,
): Promise<{ readonly label: string; readonly message: string } | undefined> {
  const faults = ready.plan.kernels.map(async ({ kernel: { label } }, i) => {
    device.pushErrorScope('validation');
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    addKernel(device, pass, ready, i, buffers);
    pass.end();
    encoder.finish();
    const error = await device.popErrorScope();
    return error === null ? [] : [{ label, message: error.message }];
  });
  return (await Promise.all(faults)).flat()[0];
}

/** Most timestamps of a set. */
const mostTimestamps = 4096;

/** Runs a plan and tells how many milliseconds each kernel took. */
export async function timeRun(
  device: GPUDevice,
  program: Program,
  ready: ReadyPlan,
  buffers: RunBuffers,
): Promise<number[]> {
  return device.features.has('timestamp-query')
    ? timeByTimestamps(device, program, ready, buffers)
    : timeOneByOne(device, program, ready, buffers);
}

async function timeByTimestamps(
  device: GPUDevice,
  program: Program,
  ready: ReadyPlan,
  buffers: RunBuffers,
): Promise<number[]> {
  const encoder = begin(device, buffers);
  const count = ready.plan.kernels.length;
  const parts: { readonly set: GPUQuerySet; readonly from: GPUBuffer; readonly to: GPUBuffer }[] = [];
  for (let first = 0; first < count; first += mostTimestamps / 2) {
    const end = Math.min(count, first + mostTimestamps / 2);
    const queries = 2 * (end - first);
    const set = device.createQuerySet({ type: 'timestamp', count: queries });
    const size = 8 * queries;
    const from = device.createBuffer({ size, usage: usage.queryResolve | usage.copySource, label: 'timestamps' });
    const to = device.createBuffer({ size, usage: usage.mapRead | usage.copyTarget, label: 'timestamps' });
    for (let i = first; i < end; i++) {
      const at = 2 * (i - first);
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet: set, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
      });
      addKernel(device, pass, ready, i, buffers);
      pass.end();
    }
    encoder.resolveQuerySet(set, 0, queries, from, 0);
    encoder.copyBufferToBuffer(from, 0, to, 0, size);
    parts.push({ set, from, to });
  }
  addReport(encoder, buffers);
  addCopies(encoder, program, buffers);
  device.queue.submit([encoder.finish()]);
  const times: number[] = [];
  try {
    for (const { to } of parts) {
      await to.mapAsync(mapForRead);
      const stamps = new BigInt64Array(to.getMappedRange());
      for (let i = 0; i < stamps.length; i += 2)
        times.push(Math.max(0, Number((stamps[i + 1] as bigint) - (stamps[i] as bigint)) / 1e6));
    }
  } finally {
    for (const { set, from, to } of parts) {
      set.destroy();
      from.destroy();
      to.destroy();
    }
  }
  return times;
}

async function timeOneByOne(
  device: GPUDevice,
  program: Program,
  ready: ReadyPlan,
  buffers: RunBuffers,
): Promise<number[]> {
  device.queue.submit([begin(device, buffers).finish()]);
  const times: number[] = [];
  for (let i = 0; i < ready.plan.kernels.length; i++) {
    await device.queue.onSubmittedWorkDone();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    addKernel(device, pass, ready, i, buffers);
    pass.end();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    times.push(performance.now() - start);
  }
  const encoder = device.createCommandEncoder();
  addReport(encoder, buffers);
  addCopies(encoder, program, buffers);
  device.queue.submit([encoder.finish()]);
  return times;
}

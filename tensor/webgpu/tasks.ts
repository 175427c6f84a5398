import { type MemoryTask, memoryOf } from '../compiler/bufferAliasing.ts';
import { contractionFlops, describeLoops, loopFlops } from '../compiler/describe.ts';
import type { LoopKernel } from '../compiler/kernel.ts';
import { isContraction } from '../compiler/primitiveKinds.ts';
import type { Program, Value } from '../compiler/program.ts';
import { schedule } from '../compiler/schedule.ts';
import type { KernelReport } from '../device.ts';
import { TensorError } from '../errors.ts';
import { reportOf } from '../executor/reportOf.ts';
import { contractionKernels, contractionReads } from './contractions/index.ts';
import { isMap, loopKernels } from './loops/loopCode.ts';
import { stepKernels } from './steps/index.ts';
import { type Kernel, mostBuffers, type Place, placeBytes, type ShaderTraits } from './wgsl/shader.ts';

/** Work of a plan that ends before the next begins, in one kernel or a few. */
export interface Task extends MemoryTask {
  readonly report: KernelReport;
  /** Whether elements of a leaf are read only where results are stored, by what stores them, which may go in their place. */
  mayOverwrite(leaf: Value): boolean;
  /** The kernels; `inPlace` has the leaves that they overwrite, with what is written there. */
  kernels(inPlace?: ReadonlyMap<Place, Place>): readonly Kernel[];
}

export interface TaskOptions {
  /** Whether the adapter is a CPU. */
  readonly software: boolean;
  readonly traits: ShaderTraits;
  readonly fuse: boolean;
}

/** What a program does, in order. `indexed` are the gathers and scatters, which report bad indices by their number there. */
export function planTasks(program: Program, indexed: readonly Value[], options: TaskOptions): Task[] {
  // Loads, what is written and the report. What gets a buffer late may be one load more for what was counted before, and
  // what is large takes more than one, so the kernels have the last word.
  for (let mostLoads = mostBuffers - 2; mostLoads > 0; mostLoads--) {
    const tasks = tasksWith(program, indexed, options, mostLoads);
    if (crowdedKernel(tasks) === undefined) return tasks;
  }
  const tasks = tasksWith(program, indexed, { ...options, fuse: false }, 1);
  const crowded = crowdedKernel(tasks);
  if (crowded === undefined) return tasks;
  throw new TensorError(
    `webgpu: what the kernel '${crowded.label}' reads and writes is too large for this device: it lies in ${crowded.bindings.length} pieces ` +
      `of at most ${options.traits.bindingBytes} bytes, and a kernel sees at most ${mostBuffers} at once; compute in smaller parts`,
  );
}

const crowdedKernel = (tasks: readonly Task[]): Kernel | undefined =>
  tasks.flatMap((task) => task.kernels()).find(({ bindings }) => bindings.length > mostBuffers);

function tasksWith(
  program: Program,
  indexed: readonly Value[],
  { software, traits, fuse }: TaskOptions,
  mostLoads: number,
): Task[] {
  const reportNumber = (value: Value): number => indexed.indexOf(value);
  const { kernels, buffers } = schedule(program, { mostLoads, fuse, widening: true, epilogues: true });
  return kernels.map((one): Task => {
    if (one.kind === 'loops') {
      return loopTask(one, (inPlace) =>
        loopKernels(one, { software, traits, reportNumber, ...(inPlace && { inPlace }) }),
      );
    }
    const { value, epilogue } = one;
    return isContraction(value)
      ? stepTask(value, contractionReads(value, buffers), contractionFlops(value), epilogue, (inPlace) =>
          contractionKernels(value, buffers, { software, traits, epilogue, inPlace }),
        )
      : stepTask(value, value.inputs, 0, undefined, () => stepKernels(value, { traits, reportNumber }));
  });
}

type MakeKernels = (inPlace?: ReadonlyMap<Place, Place>) => readonly Kernel[];

/** Makes the kernels that overwrite nothing once. */
const once = (make: MakeKernels): MakeKernels => {
  let plain: readonly Kernel[] | undefined;
  return (inPlace) => {
    if (inPlace !== undefined) return make(inPlace);
    plain ??= make();
    return plain;
  };
};

function loopTask(kernel: LoopKernel, make: MakeKernels): Task {
  const { reads, writes, looksUp } = memoryOf(kernel);
  return {
    reads,
    writes,
    looksUp,
    kernel,
    report: reportOf({ description: describeLoops(kernel), reads, writes, flops: loopFlops(kernel) }, placeBytes),
    mayOverwrite: () => isMap(kernel),
    kernels: once(make),
  };
}

/** A step that reads `inputs`, and what its epilogue loads besides its result, if it has one. */
function stepTask(
  value: Value,
  inputs: readonly Value[],
  flops: number,
  epilogue: LoopKernel | undefined,
  make: MakeKernels,
): Task {
  const after = epilogue && memoryOf(epilogue);
  const read = new Set([...inputs, ...(after?.reads ?? [])]);
  if (epilogue !== undefined) read.delete(value);
  const reads = [...read];
  const writes = after?.writes ?? [value];
  const [description, more] = epilogue ? [` ${describeLoops(epilogue)}`, loopFlops(epilogue)] : ['', 0];
  return {
    reads,
    writes,
    looksUp: value.primitive === 'scatterAdd',
    ...(epilogue && { kernel: epilogue }),
    report: reportOf(
      { description: `${value.primitive}${description}`, reads, writes, flops: flops + more },
      placeBytes,
    ),
    mayOverwrite: (leaf) => epilogue !== undefined && !inputs.includes(leaf),
    kernels: once(make),
  };
}

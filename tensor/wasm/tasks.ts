import { type MemoryTask, memoryOf } from '../compiler/bufferAliasing.ts';
import { canonicalKernel } from '../compiler/canonicalKernel.ts';
import { contractionFlops, describeLoops, loopFlops } from '../compiler/describe.ts';
import type { LoopKernel } from '../compiler/kernel.ts';
import { isContraction } from '../compiler/primitiveKinds.ts';
import type { Value } from '../compiler/program.ts';
import type { Step as ScheduledStep } from '../compiler/schedule.ts';
import { operandViewsOf } from '../compiler/stridedViews.ts';
import type { AttentionAttributes, ConvAttributes } from '../primitives.ts';
import { planAttention, planAttentionGradient } from './contractions/attention/plan.ts';
import { planConv } from './contractions/conv/plan.ts';
import { planMatmul } from './contractions/matmul/plan.ts';
import type { Operand } from './contractions/parameters.ts';
import type { ContractionDType, ContractionPlan, View } from './contractions/plan.ts';
import type { KernelPhase } from './kernelPhase.ts';
import { loopPhases } from './loops/loopCode.ts';
import { planLoops } from './loops/loopPlan.ts';
import { planStep } from './steps/index.ts';
import { contractionTime, loopTime, stepTime } from './time.ts';

/** A kernel bound to the values it works on: code emitted for the program, or a contraction. Tasks run one after another. */
export interface Task extends MemoryTask {
  readonly scratchBytes: number;
  readonly description: string;
  readonly flops: number;
  readonly nanoseconds: number;
  readonly work: KernelWork | ContractionWork;
}

/** Code emitted for the program, and what it works on in this task. */
export interface KernelWork {
  readonly kind: 'kernel';
  readonly code: KernelCode;
  /** The values, scalar arguments and gathers of this task, in the order of those that the code was written for. */
  readonly values: readonly Value[];
  readonly slots: readonly number[];
  readonly gathers: readonly Value[];
}

/** Code that several tasks may share. */
export interface KernelCode {
  readonly phases: readonly KernelPhase[];
  readonly scratchBytes: number;
  readonly description: string;
  readonly flops: number;
  readonly nanoseconds: number;
  /** The values, scalar arguments and gathers that `phases` refer to. */
  readonly values: readonly Value[];
  readonly slots: readonly number[];
  readonly gathers: readonly Value[];
}

export interface ContractionWork {
  readonly kind: 'contraction';
  readonly plan: ContractionPlan;
  readonly operands: Readonly<Partial<Record<Operand, Value>>>;
}

/** Turns kernels into tasks. Kernels that differ only in what they work on share their code. */
export function planTasks(kernels: readonly (LoopKernel | ScheduledStep)[]): Task[] {
  const codes = new Map<string, KernelCode>();
  const plans = new Map<string, ContractionPlan>();
  return kernels.map((kernel) => {
    if (kernel.kind === 'loops') return loopTask(kernel, codes);
    const { value } = kernel;
    return isContraction(value) ? contractionTask(value, plans) : stepTask(value);
  });
}

function loopTask(kernel: LoopKernel, codes: Map<string, KernelCode>): Task {
  const { key, values, slots, gathers } = canonicalKernel(kernel);
  let code = codes.get(key);
  if (code === undefined) {
    const plan = planLoops(kernel);
    const description = describeLoops(plan.kernel);
    const [flops, nanoseconds] = [loopFlops(plan.kernel), loopTime(plan.kernel)];
    code = { ...loopPhases(plan), description, flops, nanoseconds, values, slots, gathers };
    codes.set(key, code);
  }
  const { scratchBytes, description, flops, nanoseconds } = code;
  const { reads, writes, looksUp } = memoryOf(kernel);
  return {
    reads,
    writes,
    looksUp,
    scratchBytes,
    description,
    flops,
    nanoseconds,
    kernel,
    work: { kind: 'kernel', code, values, slots, gathers },
  };
}

function stepTask(value: Value): Task {
  const { units, scratchBytes, code } = planStep(value);
  const cost = { description: value.primitive, flops: 0, nanoseconds: stepTime(value) };
  const operands = {
    values: [...new Set([...value.inputs, value])],
    slots: [],
    gathers: value.primitive === 'scatterAdd' ? [value] : [],
  };
  const kernelCode = { phases: [{ units, code }], scratchBytes, ...cost, ...operands };
  return {
    reads: [...new Set(value.inputs)],
    writes: [value],
    looksUp: operands.gathers.length > 0,
    scratchBytes,
    ...cost,
    work: { kind: 'kernel', code: kernelCode, ...operands },
  };
}

/** `plans` holds the plans made so far, by everything but the memory they work on: layers repeat contractions. */
function contractionTask(value: Value, plans: Map<string, ContractionPlan>): Task {
  const names = operandsOf[value.primitive as keyof typeof operandsOf];
  const views = operandViewsOf(value, () => true, false).map((view, i) => ({
    ...view,
    shape: (value.inputs[i] as Value).shape,
  }));
  const key = `${value.form} ${views.map(({ shape, strides, offset }) => `${shape},${strides},${offset}`).join(';')}`;
  const plan = plans.get(key) ?? planContraction(value, views);
  plans.set(key, plan);
  const operands: Partial<Record<Operand, Value>> = { out: value };
  views.forEach(({ from }, i) => {
    operands[names[i] as Operand] = from;
  });
  const flops = contractionFlops(value);
  return {
    reads: [...new Set(views.map(({ from }) => from))],
    writes: [value],
    looksUp: false,
    scratchBytes: plan.scratchBytes,
    description: value.primitive,
    flops,
    nanoseconds: contractionTime(flops),
    work: {
      kind: 'contraction',
      plan,
      operands,
    },
  };
}

/** The names of the inputs in parameter blocks. */
const operandsOf = {
  matmul: ['a', 'b'],
  conv: ['a', 'b'],
  attention: ['a', 'b', 'c', 'e'],
  attentionGradient: ['a', 'b', 'c', 'd', 'e'],
} as const;

function planContraction(value: Value, views: readonly View[]): ContractionPlan {
  const dtype = value.dtype as ContractionDType;
  const [a, b, c, d, e] = views as readonly [View, View, View, View, View | undefined];
  const out = { shape: value.shape };
  switch (value.primitive) {
    case 'matmul':
      return planMatmul(dtype, { a, b, out });
    case 'conv':
      return planConv(dtype, { x: a, w: b, out }, value.attributes as ConvAttributes);
    case 'attention':
      return planAttention(
        dtype as 'f32' | 'f64',
        { q: a, k: b, v: c, bias: d },
        value.attributes as AttentionAttributes,
      );
    default:
      return planAttentionGradient(
        dtype as 'f32' | 'f64',
        { q: a, k: b, v: c, g: d, bias: e },
        value.attributes as AttentionAttributes,
      );
  }
}

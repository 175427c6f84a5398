import { describeLoops } from '../../compiler/describe.ts';
import { iterations } from '../../compiler/iterations.ts';
import type { LoopKernel } from '../../compiler/kernel.ts';
import { type Kernel, Shader } from '../wgsl/shader.ts';
import { LaneCode } from './laneCode.ts';
import { Lanes } from './lanes.ts';
import { decode, type LoopOptions, nameLoops } from './loops.ts';
import type { KernelContext } from './scalarCode.ts';

/** Invocations in a group. */
const mapSize = 64;

/** An invocation for each element, or for neighbours that it does together. */
export function mapKernel(kernel: LoopKernel, { traits, reportNumber, inPlace }: LoopOptions): Kernel {
  const shader = new Shader(traits, inPlace);
  const all = [...kernel.outer, ...kernel.inner];
  const lanes = Lanes.choose(shader, kernel.stages, all.at(-1));
  for (const { store, value } of kernel.stages) if (store !== undefined) shader.prepareStore(value);
  const made = new Map<number, readonly string[]>();
  const context: KernelContext = {
    shader,
    loops: nameLoops(shader, all),
    stage: (stage) => {
      throw new Error(`webgpu: stage ${stage} of a kernel is used before it is made`);
    },
    reportNumber,
  };
  const { start, code } = LaneCode.at(lanes, context, made);
  const body = kernel.stages.map(({ scalar, store, value }, stage) => {
    const computed = code.compute(scalar);
    const names = code.names(scalar);
    made.set(stage, names);
    return store === undefined ? computed : computed + code.store(value, store, names);
  });
  const units = iterations(all) / lanes.count;
  const text = `let unit = u32(group * ${mapSize} + local);
if (unit >= ${units}u) { return; }
let element = unit * ${lanes.count}u;
${decode('element', all, context)}${start}${body.join('')}`;
  return shader.finish(describeLoops(kernel), mapSize, Math.ceil(units / mapSize), text);
}

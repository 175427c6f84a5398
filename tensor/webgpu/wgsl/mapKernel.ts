import { describeLoops } from '../../compiler/describe.ts';
import type { LoopKernel } from '../../compiler/kernel.ts';
import { at, flatten, keyOf } from '../../compiler/position.ts';
import { stridesOf } from '../../shape.ts';
import { decode, type LoopOptions, nameLoops, product } from './loops.ts';
import { Computed, computeScalar, type KernelContext, movablePosition } from './scalarCode.ts';
import { type Kernel, narrow, Shader } from './shader.ts';

/** Groups in which one invocation each does an element. */
const mapSize = 64;

/** An invocation for each element, or for two halves that share a word. */
export function mapKernel(kernel: LoopKernel, { traits, reportNumber, inPlace }: LoopOptions): Kernel {
  const shader = new Shader(traits, inPlace);
  const all = [...kernel.outer, ...kernel.inner];
  const made = new Map<number, string>();
  const context: KernelContext = {
    shader,
    loops: nameLoops(shader, all),
    stage: (stage) => made.get(stage) as string,
    reportNumber,
  };
  const count = product(all);
  const inOrder = keyOf(flatten(all.map(at), stridesOf(all.map(({ size }) => size))));
  // An invocation that makes both halves of a word can store it as one.
  const paired = new Set(
    kernel.stages.flatMap(({ store, value }) =>
      store !== undefined && shader.shareWords(value.dtype) && keyOf(store) === inOrder ? [value] : [],
    ),
  );
  for (const { store, value } of kernel.stages)
    if (store !== undefined && shader.shareWords(value.dtype))
      shader.buffer(value, paired.has(value) ? 'write' : 'atomic');
  const pairs = paired.size > 0;
  const words = new Map([...paired].map((value) => [value, shader.name()]));

  const computed = new Computed();
  const body = kernel.stages.map(({ scalar, store, value }, stage) => {
    const code = computeScalar(context, scalar, computed);
    const name = computed.get(scalar) as string;
    made.set(stage, name);
    if (store === undefined) return code;
    const word = words.get(value);
    if (word === undefined || !shader.shareWords(value.dtype))
      return `${code}${shader.store(value, movablePosition(context, store), name)}\n`;
    return `${code}${word} |= ${narrow(value.dtype, name)} << (16u * lane);\n`;
  });
  const element = `${decode('element', all, context)}${body.join('')}`;
  const units = pairs ? Math.ceil(count / 2) : count;
  const guard = `let unit = u32(group * ${mapSize} + local);\nif (unit >= ${units}u) { return; }\n`;
  const text = pairs
    ? `${guard}${[...words.values()].map((word) => `var ${word} = 0u;\n`).join('')}for (var lane = 0u; lane < 2u; lane++) {
let element = unit * 2u + lane;
if (element >= ${count}u) { break; }
${element}}
${[...words].map(([value, word]) => `${shader.buffer(value, 'write').write('unit', word)}\n`).join('')}`
    : `${guard}let element = unit;\n${element}`;
  return shader.finish(describeLoops(kernel), mapSize, Math.ceil(units / mapSize), text);
}

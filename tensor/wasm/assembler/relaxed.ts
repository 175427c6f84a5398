import { f32x4, local } from './instructions.ts';
import { ModuleBuilder } from './module.ts';

let known: boolean | undefined;

/** Whether the engine has relaxed SIMD, whose multiply-add is one instruction (V8 from version 11.4 on, Node 22). */
export function hasRelaxedSimd(): boolean {
  if (known !== undefined) return known;
  const module = new ModuleBuilder({ initial: 0 });
  module.function({ parameters: ['v128'], result: 'v128' }, ([x]) =>
    f32x4.relaxedMadd(local.get(x), local.get(x), local.get(x)),
  );
  known = WebAssembly.validate(module.toBytes());
  return known;
}

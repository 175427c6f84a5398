import { f32x4, local } from './instructions.ts';
import { ModuleBuilder } from './module.ts';

let supported: boolean | undefined;

/** True if the engine has relaxed SIMD, whose multiply-add is one instruction (V8 since version 11.4, Node 22). */
export function hasRelaxedSimd(): boolean {
  if (supported !== undefined) return supported;
  const module = new ModuleBuilder({ initial: 0 });
  module.function({ parameters: ['v128'], result: 'v128' }, ([x]) =>
    f32x4.relaxedMadd(local.get(x), local.get(x), local.get(x)),
  );
  supported = WebAssembly.validate(module.toBytes());
  return supported;
}

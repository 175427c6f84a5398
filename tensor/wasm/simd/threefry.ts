import { i32, i32x4, local, type Statement, type V128, v128 } from '../assembler/instructions.ts';
import type { Scope } from '../assembler/module.ts';

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;

/** One word of Threefry-2x32-20 (Salmon et al. 2011) of (key0, key1, counter0, counter1), for four lanes at once. */
export function threefryLanes(scope: Scope, inputs: readonly [V128, V128, V128, V128], word: 0 | 1): V128 {
  const [key0, key1, counter0, counter1] = inputs;
  const [a, b, key2] = [scope.local('v128'), scope.local('v128'), scope.local('v128')];
  const keys = [key0, key1, local.get(key2)];
  const parity = v128.xor(v128.xor(key0, key1), i32x4.const(0x1bd11bda));
  const steps: Statement[] = [
    local.set(key2, parity),
    local.set(a, i32x4.add(counter0, key0)),
    local.set(b, i32x4.add(counter1, key1)),
  ];
  for (let round = 0; round < 20; round++) {
    const by = rotations[round % 8] as number;
    const rotated = v128.or(i32x4.shl(local.get(b), i32.const(by)), i32x4.shrU(local.get(b), i32.const(32 - by)));
    steps.push(local.set(a, i32x4.add(local.get(a), local.get(b))), local.set(b, v128.xor(rotated, local.get(a))));
    if (round % 4 !== 3) continue;
    const injection = (round + 1) / 4;
    const key = (i: number): V128 => keys[(injection + i) % 3] as V128;
    steps.push(
      local.set(a, i32x4.add(local.get(a), key(0))),
      local.set(b, i32x4.add(i32x4.add(local.get(b), key(1)), i32x4.const(injection))),
    );
  }
  return [steps, local.get(word === 0 ? a : b)];
}

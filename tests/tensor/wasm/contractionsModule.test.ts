import { describe, expect, test } from 'vitest';
import { planConv } from '../../../tensor/wasm/contractions/conv/plan.ts';
import { planMatmul } from '../../../tensor/wasm/contractions/matmul/plan.ts';
import { contractionModule } from '../../../tensor/wasm/contractions/module.ts';

const attributes = {
  strides: [1, 1],
  before: [1, 1],
  after: [1, 1],
  inputDilation: [1, 1],
  kernelDilation: [1, 1],
  groups: 1,
};

describe('the contraction module', () => {
  test('is valid over shared memory', () => {
    const memory = { initial: 1, maximum: 65536, shared: true } as const;
    expect(WebAssembly.validate(contractionModule({ relaxed: false, memory }))).toBe(true);
  });

  test('exports every function that plans call', () => {
    const module = new WebAssembly.Module(contractionModule({ relaxed: false, memory: { initial: 1 } }));
    const names = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
    const views = { a: { shape: [300, 9] }, b: { shape: [9, 300] }, out: { shape: [300, 300] } };
    const skinny = { a: { shape: [1, 9] }, b: { shape: [9, 30] }, out: { shape: [1, 30] } };
    const images = { x: { shape: [1, 3, 9, 9] }, w: { shape: [8, 3, 3, 3] }, out: { shape: [1, 8, 9, 9] } };
    for (const dtype of ['f32', 'f64', 'i32', 'u32'] as const) {
      const plans = [planMatmul(dtype, views), planMatmul(dtype, skinny), planConv(dtype, images, attributes)];
      for (const { name } of plans.flatMap(({ phases }) => phases.flat())) expect(names).toContain(name);
    }
  });

  test('refuses more spatial axes than it has loops for', () => {
    const shape = [1, 1, 2, 2, 2, 2];
    expect(() => planConv('f32', { x: { shape }, w: { shape }, out: { shape } }, attributes)).toThrow(/4 spatial axes/);
  });
});

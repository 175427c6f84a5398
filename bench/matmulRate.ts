import { type Device, dispose, key, matmul, random, realize } from 'diffusion-dpo/tensor';
import { finish } from './devices.ts';

/** A GPU needs larger matrices to be busy. */
const sideOfProduct = ({ name, description }: Device): number =>
  name === 'webgpu' && !description.includes('on the CPU') ? 4096 : 1024;

/** The GFLOP/s of a large matrix product on the default device, the best of six. */
export async function matmulRate(device: Device): Promise<number> {
  const n = sideOfProduct(device);
  const [a, b] = await realize([random.normal(key(1), [n, n]), random.normal(key(2), [n, n])] as const);
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 6; i++) {
    const start = performance.now();
    dispose(await finish(matmul(a, b).sum()));
    best = Math.min(best, performance.now() - start);
  }
  dispose([a, b]);
  return (2 * n ** 3) / best / 1e6;
}

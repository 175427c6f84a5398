import { valueAndGrad } from 'diffusion-dpo/autograd';
import { batchNorm, type NormParams } from 'diffusion-dpo/nn';
import {
  item,
  key,
  mapTree,
  openDevice,
  random,
  read,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from 'diffusion-dpo/tensor';
import { checkGradients } from 'diffusion-dpo/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const device = await openDevice('reference');
setDefaultDevice(device);
const f64 = { dtype: 'f64' } as const;
const numbers = async (x: Tensor): Promise<number[]> => Array.from(await read(x));

describe('batchNorm', () => {
  // Two channels of 1, 3, 5, 7 (mean 4, biased variance 5, unbiased 20/3) and of 2, 2, 2, 6 (mean 3, biased 3, unbiased 4).
  const x = tensor(
    [
      [
        [1, 3],
        [2, 2],
      ],
      [
        [5, 7],
        [2, 6],
      ],
    ],
    f64,
  );
  const params: NormParams = { weight: tensor([2, 1], f64), bias: tensor([0.5, -1], f64) };

  test('in training normalises by the batch, and moves the running statistics, as PyTorch does', async () => {
    const layer = batchNorm(2, { eps: 1, momentum: 0.25 });
    const { output, statistics } = layer.apply(params, x, layer.initStatistics(f64), true);
    const [a, b] = [(value: number) => (2 * (value - 4)) / Math.sqrt(6) + 0.5, (value: number) => (value - 3) / 2 - 1];
    const expected = [a(1), a(3), b(2), b(2), a(5), a(7), b(2), b(6)];
    (await numbers(output)).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 12);
    });
    expect(await numbers(statistics.running_mean)).toEqual([0.25 * 4, 0.25 * 3]);
    const variances = await numbers(statistics.running_var);
    expect(variances[0]).toBeCloseTo(0.75 + (0.25 * 20) / 3, 12);
    expect(variances[1]).toBeCloseTo(0.75 + 0.25 * 4, 12);
  });

  test('otherwise normalises by the running statistics, which stay', async () => {
    const layer = batchNorm(2, { eps: 0 });
    const statistics = { running_mean: tensor([1, 2], f64), running_var: tensor([4, 16], f64) };
    const applied = layer.apply(params, x, statistics);
    expect(applied.statistics).toBe(statistics);
    expect(await numbers(applied.output)).toEqual([0.5, 2.5, -1, -1, 4.5, 6.5, -1, 0]);
  });

  test('of [N, channels] treats each row as a place', async () => {
    const layer = batchNorm(1, { eps: 0, affine: false });
    const { output } = layer.apply({}, tensor([[1], [3]], f64), layer.initStatistics(f64), true);
    expect(await numbers(output)).toEqual([-1, 1]);
  });

  test('in training any batch comes out with mean bias and variance weight²·v/(v + eps)', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1000 }), fc.constantFrom(1e-5, 0.5), async (seed, eps) => {
        const layer = batchNorm(3, { eps });
        const input = random.normal(key(seed), [4, 3, 2, 2], f64).mul(3).add(7);
        const own = { weight: tensor([1, 2, -3], f64), bias: tensor([0, 1, 2], f64) };
        const { output } = layer.apply(own, input, layer.initStatistics(f64), true);
        const [means, variances, before] = await Promise.all(
          [output.mean([0, 2, 3]), output.variance([0, 2, 3]), input.variance([0, 2, 3])].map(numbers),
        );
        [0, 1, 2].forEach((channel) => {
          const v = before?.[channel] as number;
          expect(means?.[channel]).toBeCloseTo(channel, 10);
          expect(variances?.[channel]).toBeCloseTo(([1, 4, 9][channel] as number) * (v / (v + eps)), 10);
        });
      }),
      { numRuns: 10 },
    ));

  test.each([true, false])('has right gradients, training %s', async (training) => {
    const layer = batchNorm(3);
    const start = mapTree(layer.init(key(1), f64), (p, path) => p.add(random.normal(key(path.length), p.shape, f64)));
    const statistics = await realize({
      running_mean: random.normal(key(2), [3], f64),
      running_var: random.uniform(key(3), [3], { min: 0.5, max: 2, dtype: 'f64' }),
    });
    const input = random.normal(key(4), [2, 3, 2, 2], f64);
    await checkGradients(
      (own: NormParams, given: Tensor) => layer.apply(own, given, statistics, training).output,
      (await realize([start, input])) as [NormParams, Tensor],
      { device, order: 2 },
    );
  });

  test('lets no gradient flow through the running statistics', async () => {
    const layer = batchNorm(1, { affine: false });
    const loss = (given: Tensor): [Tensor, undefined] => {
      const { running_mean, running_var } = layer.apply({}, given, layer.initStatistics(f64), true).statistics;
      return [running_mean.add(running_var).sum(), undefined];
    };
    const [, slope] = valueAndGrad(loss, { hasAux: true })(tensor([[1], [2]], f64));
    expect(await numbers(slope)).toEqual([0, 0]);
  });

  test('computes halves in f32 and gives them back', async () => {
    const layer = batchNorm(1, { affine: false });
    const { output, statistics } = layer.apply(
      {},
      tensor([[300], [301], [302]], { dtype: 'f16' }),
      layer.initStatistics(),
      true,
    );
    expect(output.dtype).toBe('f16');
    expect(await item(statistics.running_mean)).toBeCloseTo(30.1, 4);
  });

  test('refuses other channels, and a batch that has no variance', () => {
    const layer = batchNorm(2);
    const statistics = layer.initStatistics();
    const params = layer.init(key(0));
    expect(() => layer.apply(params, tensor([[1, 2, 3]]), statistics)).toThrow(
      'batchNorm: needs [N, 2, …], got f32[1, 3]',
    );
    expect(() => layer.apply(params, tensor([[1, 2]]), statistics, true)).toThrow(
      'batchNorm: training needs more than one number for each channel, got f32[1, 2]',
    );
  });
});

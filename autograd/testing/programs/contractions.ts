import { type Shape, sizeOf, type Tensor } from '../../../tensor/index.ts';
import { dilated } from '../../../tensor/internal.ts';
import { filled, float, number, one, type ProgramOperator, ranked, type Supply, two } from './operator.ts';
import { call, fitted, type Term, tamed } from './terms.ts';

const matrix = (x: Tensor): boolean => x.rank >= 2 && number(x);
const batchesAgree = (a: Tensor, b: Tensor): boolean => a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join();

/** A tensor of the given shape with the elements of any tensor of the same dtype. */
function companion(x: Term, shape: Shape, { operand }: Supply): Term {
  const other = operand((candidate) => candidate.dtype === x.tensor.dtype && candidate.size > 0) ?? x;
  return fitted(other, shape);
}

/** The elements of x as images [N, C, spatial…] with one to three spatial axes. */
function asImages(x: Term, spatialAxes?: number): Term {
  const { shape, rank, size } = x.tensor;
  if (spatialAxes !== undefined) {
    const side = Math.max(1, Math.floor(Math.sqrt(size / 2)));
    return rank === spatialAxes + 2 ? x : fitted(x, [1, 2, side, ...new Array<number>(spatialAxes - 1).fill(side)]);
  }
  if (rank >= 3 && rank <= 5) return x;
  return rank > 5 ? call('reshape', x, [1, 1, size]) : call('reshape', x, [1, 1, ...(rank === 0 ? [1] : shape)]);
}

function conv(x: Term, supply: Supply): Term {
  const { pick } = supply;
  const images = asImages(x);
  const [, channels, ...spatial] = images.tensor.shape as readonly [number, number, ...number[]];
  const divisors = [1, 2, 3, 5, 7].filter((n) => channels % n === 0);
  const groups = divisors[pick(divisors.length)] as number;
  const weightShape = [groups * (pick(2) + 1), channels / groups, ...spatial.map(() => pick(3) + 1)];
  const weight = companion(images, weightShape, supply);
  const strides = spatial.map(() => pick(2) + 1);
  const inputDilation = spatial.map(() => pick(2) + 1);
  const kernelDilation = spatial.map(() => pick(2) + 1);
  const before = spatial.map(() => pick(4) - 1);
  const after = spatial.map((size, i) => {
    const extent = dilated(size, inputDilation[i] as number) + (before[i] as number);
    const reach = dilated(weightShape[i + 2] as number, kernelDilation[i] as number);
    return Math.max(pick(4) - 1, reach - extent);
  });
  const options = { strides, before, after, inputDilation, kernelDilation, groups };
  return tamed(call('conv', images, weight, options), 2 * sizeOf(weightShape.slice(1)));
}

export const contractionOperators = {
  matmul: two(
    true,
    matrix,
    (a, b) => a === b || (batchesAgree(a, b) && a.shape.at(-1) === b.shape.at(-2)),
    (a, b) => {
      const right = a.tensor.shape.at(-1) === b.tensor.shape.at(-2) ? b : call('transpose', b);
      return tamed(call('matmul', a, right), 2 * (a.tensor.shape.at(-1) as number));
    },
  ),
  einsum: two(
    true,
    (x) => x.rank === 2 && number(x),
    (a, b) => a.shape[1] === b.shape[1],
    (a, b, { pick }) => {
      const equation = (['ij,kj->ik', 'ij,kj->ki', 'ij,kj->j'] as const)[pick(3)] as string;
      const count = equation.endsWith('j')
        ? (a.tensor.shape[0] as number) * (b.tensor.shape[0] as number)
        : a.tensor.shape[1];
      return tamed(call('einsum', equation, a, b), 2 * (count as number));
    },
  ),
  linear: one(true, filled(ranked(number)), (x, supply) => {
    const inputs = x.tensor.shape.at(-1) as number;
    const outputs = supply.pick(3) + 1;
    const weight = companion(x, [outputs, inputs], supply);
    return tamed(call('linear', x, weight, companion(x, [outputs], supply)), 2 * inputs + 1);
  }),
  conv: one(true, filled(number), conv),
  convTranspose2d: one(true, filled(float), (x, supply) => {
    const images = asImages(x, 2);
    const kernel = [images.tensor.shape[1] as number, supply.pick(2) + 1, supply.pick(2) + 1, supply.pick(2) + 1];
    const weight = companion(images, kernel, supply);
    return tamed(call('convTranspose2d', images, weight, { stride: supply.pick(2) + 1 }), 2 * sizeOf(kernel));
  }),
  avgPool2d: one(true, filled(float), (x, { pick }) => {
    const options = { kernel: 2, stride: pick(2) + 1, padding: 1, countIncludePad: pick(2) === 0 };
    return call('avgPool2d', asImages(x, 2), options);
  }),
  maxPool2d: one(false, filled(float), (x, { pick }) =>
    call('maxPool2d', asImages(x, 2), { kernel: 2, stride: pick(2) + 1, padding: 1 }),
  ),
  resizeNearest: one(true, filled(float), (x, { pick }) =>
    call('resizeNearest', asImages(x, 2), [pick(4) + 1, pick(4) + 1]),
  ),
  resizeBilinear: one(true, filled(float), (x, { pick }) =>
    call('resizeBilinear', asImages(x, 2), [pick(4) + 1, pick(4) + 1]),
  ),
  attention: one(
    true,
    (x) => x.rank >= 2 && filled(float)(x),
    (x, supply) =>
      call('scaledDotProductAttention', x, companion(x, x.tensor.shape, supply), companion(x, x.tensor.shape, supply), {
        causal: supply.pick(2) === 1,
      }),
  ),
  layerNorm: one(true, filled(ranked(float)), (x) => tamed(call('layerNorm', x, { eps: 1 }), 2)),
  groupNorm: one(
    true,
    (x) => x.rank >= 2 && filled(float)(x),
    (x, { pick }) => {
      const channels = x.tensor.shape[1] as number;
      const divisors = [1, 2, 3, 5].filter((n) => channels % n === 0);
      return tamed(call('groupNorm', x, divisors[pick(divisors.length)] as number, { eps: 1 }), 2);
    },
  ),
} satisfies Readonly<Record<string, ProgramOperator>>;

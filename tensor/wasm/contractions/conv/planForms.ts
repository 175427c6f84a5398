import type { ConvAttributes } from '../../../primitives.ts';
import { sizeOf, stridesOf } from '../../../shape.ts';
import { planMatmul } from '../matmul/plan.ts';
import type { Operand } from '../parameters.ts';
import { type ContractionCall, type ContractionDType, type ContractionPlan, pointer, type View } from '../plan.ts';

/** Fewest positions of an image for which a 1×1 convolution becomes a matrix product for each image. */
const manyPositions = 64;
/** The cost of gathering a column, in rows multiplied by it. */
const gatheringRows = 5;

/** Images [N, groups·I, …], kernels [groups·O, I, …] and output [N, groups·O, …]. */
export interface ConvArrays {
  readonly x: View;
  readonly w: View;
  readonly out: View;
}

/** A plan with the operands a and b exchanged. */
export function exchangedPlan(plan: ContractionPlan): ContractionPlan {
  const exchanged: Partial<Record<Operand, Operand>> = { a: 'b', b: 'a' };
  const exchange = (call: ContractionCall): ContractionCall => ({
    ...call,
    words: call.words.map((word) =>
      typeof word === 'number' ? word : pointer(exchanged[word.operand] ?? word.operand, word.offset),
    ),
  });
  return { ...plan, phases: plan.phases.map((phase) => phase.map(exchange)) };
}

/**
 * The same convolution with images and kernels exchanged, or undefined if that is not cheaper. It is cheaper for the
 * gradient by a kernel with few output channels. With p = (q·stride + k·kernelDilation − before) / inputDilation,
 * k = (p·inputDilation − q·stride + before) / kernelDilation, which is a convolution with its output stored backwards.
 */
export function exchanged(
  { x, w, out }: ConvArrays,
  { strides, before, inputDilation, kernelDilation, groups, after }: ConvAttributes,
): { readonly arrays: ConvArrays; readonly attributes: ConvAttributes } | undefined {
  if (groups !== 1) return undefined;
  const positions = sizeOf(out.shape.slice(2));
  const cost = (rows: number, images: number, taps: readonly number[], dilation: readonly number[]): number =>
    images * positions * (sizeOf(taps) / sizeOf(dilation)) * (rows + gatheringRows);
  const [n, o] = out.shape as readonly [number, number];
  const costAsGiven = cost(o, n, w.shape.slice(2), inputDilation);
  if (cost(n, o, x.shape.slice(2), kernelDilation) > 0.8 * costAsGiven) return undefined;
  const outStrides = out.strides ?? stridesOf(out.shape);
  const swapped = ([first, second, ...rest]: readonly number[]): number[] => [
    second as number,
    first as number,
    ...rest,
  ];
  const last = (axis: number): number => (out.shape[axis + 2] as number) - 1;
  return {
    arrays: {
      x: w,
      w: x,
      out: {
        shape: swapped(out.shape),
        strides: swapped(outStrides).map((stride, i) => (i < 2 ? stride : -stride)),
        offset: strides.reduce(
          (offset, _, axis) => offset + last(axis) * (outStrides[axis + 2] as number),
          out.offset ?? 0,
        ),
      },
    },
    attributes: {
      groups,
      strides,
      before: strides.map((stride, axis) => last(axis) * stride - (before[axis] as number)),
      after,
      inputDilation: kernelDilation,
      kernelDilation: inputDilation,
    },
  };
}

/** Plans a 1×1 convolution of large images as a matrix product; undefined for other convolutions. */
export function planPointwise(
  dtype: ContractionDType,
  { x, w, out }: ConvArrays,
  { strides, before, inputDilation, groups }: ConvAttributes,
): ContractionPlan | undefined {
  const positions = sizeOf(out.shape.slice(2));
  const isPointwise =
    sizeOf(w.shape.slice(2)) === 1 &&
    strides.every((stride) => stride === 1) &&
    before.every((pad) => pad === 0) &&
    inputDilation.every((dilation, axis) => dilation === 1 || x.shape[axis + 2] === 1) &&
    x.shape.every((size, i) => i < 2 || size === out.shape[i]);
  if (!isPointwise || (positions < manyPositions && x.shape[0] !== 1)) return undefined;
  const [xMerged, outMerged] = [mergedPositions(x), mergedPositions(out)];
  if (xMerged === undefined || outMerged === undefined) return undefined;
  const [n, channels, outputs, inputs] = [x.shape[0], x.shape[1], out.shape[1], w.shape[1]] as number[] as [
    number,
    number,
    number,
    number,
  ];
  const [xn, xc] = x.strides ?? stridesOf(x.shape);
  const [wo, wi] = w.strides ?? stridesOf(w.shape);
  const [on, oc] = out.strides ?? stridesOf(out.shape);
  const [perGroup, xGroup] = [outputs / groups, channels / groups];
  const at = (value: number | undefined): number => value as number;
  const view = (shape: number[], strides: (number | undefined)[], offset = 0): View => ({
    shape,
    strides: strides.map(at),
    offset,
  });
  const plan = planMatmul(dtype, {
    a: view([n, groups, perGroup, inputs], [0, perGroup * at(wo), wo, wi], w.offset),
    b: view([n, groups, inputs, positions], [xn, xGroup * at(xc), xc, xMerged], x.offset),
    out: view([n, groups, perGroup, positions], [on, perGroup * at(oc), oc, outMerged], out.offset),
  });
  // The left operand of the product is the weights, operand b of a convolution.
  return exchangedPlan(plan);
}

/** The stride of the spatial axes merged into one, or undefined if they cannot be merged. */
function mergedPositions({ shape, strides = stridesOf(shape) }: View): number | undefined {
  let stride = 1;
  let extent: number | undefined;
  for (let axis = shape.length - 1; axis >= 2; axis--) {
    if (shape[axis] === 1) continue;
    if (extent === undefined) stride = strides[axis] as number;
    else if (strides[axis] !== extent) return undefined;
    extent = (strides[axis] as number) * (shape[axis] as number);
  }
  return stride;
}

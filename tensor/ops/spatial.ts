import { ShapeError, TensorError } from '../errors.ts';
import { normalizeAxis } from '../shape.ts';
import { type Tensor, typeOf } from '../tensor.ts';
import { conv2d, type Padding2d, type Pair, paddingOf, pairOf } from './conv.ts';
import { add, clamp, div, floor, mul, sub } from './elementwise.ts';
import { gather, take } from './indexing.ts';
import { pad, repeatInterleave, reshape, slice, squeeze, stack } from './movement.ts';
import { cast, checkFloat, constant, inFloat32, iota } from './operands.ts';
import { argMax } from './reductions.ts';

/** Options of the pools. Padding must be smaller than the kernel. */
export interface PoolOptions {
  readonly kernel: Pair;
  /** Default: the kernel, so that windows do not overlap. */
  readonly stride?: Pair;
  readonly padding?: Padding2d;
}

/** Options of `avgPool2d`. */
export interface AvgPoolOptions extends PoolOptions {
  /** Padding counts as zeros (the default, as in PyTorch) or, if false, not at all. */
  readonly countIncludePad?: boolean;
}

function checkImages(operator: string, x: Tensor): [number, number, number, number] {
  checkFloat(operator, x);
  if (x.rank !== 4) throw new ShapeError(`${operator}: needs images [N, C, H, W], got ${typeOf(x)}`);
  return x.shape as unknown as [number, number, number, number];
}

/** The sizes, strides and counts of a pool's windows; throws unless there is one and none lies in padding alone. */
function windowsOf(operator: string, x: Tensor, options: PoolOptions) {
  const [, , height, width] = checkImages(operator, x);
  const [kh, kw] = pairOf(options.kernel);
  const [sh, sw] = pairOf(options.stride ?? options.kernel);
  const { before, after } = paddingOf(options.padding ?? 0);
  if (
    ![kh, kw, sh, sw].every((n) => Number.isInteger(n) && n > 0) ||
    Math.max(before[0], after[0]) >= kh ||
    Math.max(before[1], after[1]) >= kw
  ) {
    throw new TensorError(
      `${operator}: kernel and stride must be whole numbers from 1, and padding smaller than the kernel`,
    );
  }
  const rows = Math.floor((height + before[0] + after[0] - kh) / sh) + 1;
  const columns = Math.floor((width + before[1] + after[1] - kw) / sw) + 1;
  if (rows < 1 || columns < 1) throw new ShapeError(`${operator}: a ${kh}×${kw} window does not fit into ${typeOf(x)}`);
  return { kh, kw, sh, sw, before, after, rows, columns };
}

/** Means over windows of images [N, C, H, W] → [N, C, H′, W′] (PyTorch's `avg_pool2d`). */
export function avgPool2d(x: Tensor, options: AvgPoolOptions): Tensor {
  const [batch, channels, height, width] = checkImages('avgPool2d', x);
  const { padding = 0, countIncludePad = true } = options;
  const { kh, kw, sh, sw } = windowsOf('avgPool2d', x, options);
  const stride = [sh, sw] as const;
  return inFloat32(x, (wide) => {
    // A convolution with a kernel of ones, of each channel alone.
    const ones = constant(1, [1, 1, kh, kw], wide.dtype);
    const sums = conv2d(reshape(wide, [batch * channels, 1, height, width]), ones, { stride, padding });
    const counts = countIncludePad
      ? kh * kw
      : conv2d(constant(1, [1, 1, height, width], wide.dtype), ones, { stride, padding });
    return reshape(div(sums, counts), [batch, channels, ...sums.shape.slice(2)]);
  });
}

/**
 * Maxima over windows of images [N, C, H, W] → [N, C, H′, W′] (PyTorch's `max_pool2d`). The first of equal elements gets
 * the gradient.
 */
export function maxPool2d(x: Tensor, options: PoolOptions): Tensor {
  const { kh, kw, sh, sw, before, after, rows, columns } = windowsOf('maxPool2d', x, options);
  const padded = pad(
    x,
    [
      [0, 0],
      [0, 0],
      [before[0], after[0]],
      [before[1], after[1]],
    ],
    Number.NEGATIVE_INFINITY,
  );
  // One slice per position in the window.
  const places = Array.from({ length: kh * kw }, (_, place) => {
    const [top, left] = [Math.floor(place / kw), place % kw];
    const stops = [undefined, undefined, top + (rows - 1) * sh + 1, left + (columns - 1) * sw + 1];
    return slice(padded, [undefined, undefined, top, left], stops, [1, 1, sh, sw]);
  });
  const windows = stack(places, 4);
  return squeeze(gather(windows, argMax(windows, 4, { keepDims: true }), 4), 4);
}

function checkTarget(operator: string, x: Tensor, size: readonly [number, number]): void {
  checkImages(operator, x);
  if (!size.every((n) => Number.isInteger(n) && n > 0) || x.shape[2] === 0 || x.shape[3] === 0) {
    throw new ShapeError(`${operator}: cannot make images of ${size.join(' × ')} from ${typeOf(x)}`);
  }
}

/** Resizes images [N, C, H, W] to [height, width]; output i takes input ⌊i·in/out⌋ (PyTorch's `nearest`). */
export function resizeNearest(x: Tensor, size: readonly [number, number]): Tensor {
  checkTarget('resizeNearest', x, size);
  const along = (image: Tensor, axis: number, out: number): Tensor => {
    const from = image.shape[normalizeAxis('resizeNearest', axis, 4)] as number;
    if (out % from === 0) return out === from ? image : repeatInterleave(image, out / from, axis);
    return take(image, div(mul(iota([out], 0, 'i32'), from), out), axis);
  };
  return along(along(x, 2, size[0]), 3, size[1]);
}

/** Resizes images [N, C, H, W] to [height, width] (PyTorch's `bilinear` with `align_corners=False`). */
export function resizeBilinear(x: Tensor, size: readonly [number, number]): Tensor {
  checkTarget('resizeBilinear', x, size);
  const along = (image: Tensor, axis: 2 | 3, out: number): Tensor => {
    const from = image.shape[axis] as number;
    if (out === from) return image;
    // Centre i + ½ of the output lies at (i + ½)·in/out of the input; positions before the first centre take the edge.
    const position = clamp(sub(mul(add(iota([out], 0, image.dtype), 0.5), from / out), 0.5), { min: 0 });
    const low = cast(floor(position), 'i32');
    const high = clamp(add(low, 1), { max: from - 1 });
    const share = reshape(sub(position, floor(position)), axis === 2 ? [out, 1] : [out]);
    const near = take(image, low, axis);
    return add(near, mul(sub(take(image, high, axis), near), share));
  };
  return inFloat32(x, (wide) => along(along(wide, 2, size[0]), 3, size[1]));
}

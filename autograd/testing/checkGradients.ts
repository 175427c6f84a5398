import {
  abs,
  add,
  cast,
  concat,
  copy,
  type Device,
  deviceOf,
  dispose,
  flattenTree,
  isFloat,
  mapTree,
  mul,
  openDevice,
  read,
  replaceLeaves,
  reshape,
  stack,
  sum,
  type Tensor,
  TensorError,
  tensor,
  treeLeaves,
  zerosLike,
} from '../../tensor/index.ts';
import { grad } from '../vjp.ts';
import { checkBatch, type GradientFunctionOptions } from './checkGradientFunction.ts';
import { pseudoRandom, signedWeights } from './pseudoRandom.ts';
import { type Comparison, combine, GradientCheckError, type GradientReport } from './report.ts';

/** Turns a scalar function of tensors into the function of its gradients, as `grad` does. */
export type GradientProvider = (f: (x: readonly Tensor[]) => Tensor) => (x: readonly Tensor[]) => readonly Tensor[];

/** Options of `checkGradients`. */
export interface GradientCheckOptions extends GradientFunctionOptions {
  /** 2 also checks second derivatives: the gradient of x ↦ ⟨∇f(x), v⟩ for a fixed random v. Default 1. */
  readonly order?: 1 | 2;
  /** The device to compute on, with f64. Default: the device of tensors that `f` closes over, else a reference device. */
  readonly device?: Device;
  /** The gradient to check; default `grad`. */
  readonly gradient?: GradientProvider;
}

let reference: Promise<Device> | undefined;

/**
 * The device of tensors that the function closes over, else a reference device: differences take many tiny graphs and
 * every digit. Zeros stand in for the arguments, since building a graph does not read values.
 */
function deviceFor(f: (...args: never[]) => unknown, inputs: readonly unknown[]): Device | Promise<Device> {
  reference ??= openDevice('reference');
  const zeros = mapTree(inputs, (x) => cast(zerosLike(x), isFloat(x.dtype) ? 'f64' : x.dtype));
  return deviceOf(f(...(zeros as never[]))) ?? reference;
}

/**
 * Compares the gradients of a function of tensors with central differences in f64 (PyTorch's `gradcheck`). Inputs are the
 * arguments of `f`, tensors or trees of tensors: floats are converted to f64 and checked, all others passed as they are.
 * `f` may return any tree; the check sums its float tensors with fixed pseudo-random weights. `f` must be deterministic; it
 * is called a few times per element.
 *
 * Keep inputs away from kinks (of `relu` at 0, of `max` where elements tie): there, differences give the mean of both
 * sides, and a gradient rule may choose another value.
 * @throws GradientCheckError that names the input, the element and both derivatives where they disagree or are NaN or
 * infinite, unless `throws` is false; TensorError if no input is a float tensor
 *
 * ```ts
 * const x = tensor([[1, 2], [3, -4]], { dtype: 'f64' });
 * await checkGradients((a, b) => softmax(matmul(a, b)), [x, transpose(x)], { order: 2 });
 * ```
 */
export async function checkGradients<Args extends readonly unknown[]>(
  f: (...args: Args) => unknown,
  inputs: Args,
  options: GradientCheckOptions = {},
): Promise<GradientReport> {
  const device = options.device ?? (await deviceFor(f, inputs));
  const leaves = flattenTree(inputs);
  const paths = leaves.flatMap(({ path, tensor }) => (isFloat(tensor.dtype) ? [path] : []));
  const floats = leaves.flatMap(({ tensor }) => (isFloat(tensor.dtype) ? [tensor] : []));
  if (floats.length === 0)
    throw new TensorError('checkGradients: none of the inputs is a float tensor, so none has a gradient');
  const others = await copy(
    leaves.map(({ tensor }) => (isFloat(tensor.dtype) ? undefined : tensor)),
    { device },
  );
  const seed = options.seed ?? 0;
  const gradient = options.gradient ?? ((g) => grad(g));
  const terms = (x: readonly Tensor[]): Tensor[] => {
    let next = 0;
    const args = replaceLeaves(
      inputs,
      others.map((other) => other ?? (x[next++] as Tensor)),
    );
    return floatsOf(f(...args));
  };
  const start = await Promise.all(floats.map(async (x) => Float64Array.from(await read(x))));
  const problem = { shapes: floats.map(({ shape }) => shape), paths, start, device, gradient, options };

  const held = treeLeaves(others);
  const first = projection(terms, seed + 1, held);
  const second = projection((x) => floatsOf(gradient((y) => first(y).value)(x)), seed + 2, held);
  try {
    const reports = [withOrder(await checkTerms(first, problem), 1)];
    if (options.order === 2 && reports.every(({ ok }) => ok)) {
      reports.push(withOrder(await checkTerms(second, problem), 2));
    }
    const report = combine(reports);
    if (!report.ok && options.throws !== false) throw new GradientCheckError(report);
    return report;
  } finally {
    dispose(held);
  }
}

const floatsOf = (tree: unknown): Tensor[] => treeLeaves(tree).filter(({ dtype }) => isFloat(dtype));

/** A weighted sum, and the sum of the magnitudes of its terms. */
interface Projected {
  readonly value: Tensor;
  readonly magnitude: () => Tensor;
}

/**
 * The sum of all elements that `terms` returns, each with its own fixed pseudo-random weight. The first call makes the
 * weights, since it knows the shapes, and adds them to `held`.
 */
function projection(terms: (x: readonly Tensor[]) => readonly Tensor[], seed: number, held: Tensor[]) {
  const weights: Tensor[] = [];
  return (x: readonly Tensor[]): Projected => {
    const parts = terms(x).map((term, i) => {
      let weight = weights[i];
      if (weight === undefined) {
        weight = tensor(signedWeights(term.size, pseudoRandom(seed + 1000 * i)), { shape: term.shape });
        weights[i] = weight;
        held.push(weight);
      }
      return mul(cast(term, 'f64'), weight);
    });
    if (parts.length === 0) throw new TensorError('checkGradients: the function returned no float tensor');
    return {
      value: parts.map((part) => sum(part)).reduce(add),
      magnitude: () => parts.map((part) => sum(abs(part))).reduce(add),
    };
  };
}

interface Problem {
  readonly shapes: readonly (readonly number[])[];
  readonly paths: readonly string[];
  readonly start: readonly Float64Array[];
  readonly device: Device;
  readonly gradient: GradientProvider;
  readonly options: GradientCheckOptions;
}

/** Checks a projected function of tensors as a plain function of one vector that holds all their elements. */
async function checkTerms(f: (x: readonly Tensor[]) => Projected, problem: Problem): Promise<GradientReport> {
  const { shapes, start, device, gradient, options } = problem;
  const offsets = start.map((_, i) => start.slice(0, i).reduce((total, { length }) => total + length, 0));
  const x = Float64Array.from(start.flatMap((values) => Array.from(values)));
  const split = (point: Float64Array): Tensor[] =>
    shapes.map((shape, i) => {
      const from = offsets[i] as number;
      return tensor(point.subarray(from, from + (start[i] as Float64Array).length), { shape, device });
    });
  const values = async (points: readonly Float64Array[]): Promise<ArrayLike<number>> => {
    const leaves = points.map(split);
    const found = await read(stack(leaves.map((leaf) => f(leaf).value)));
    dispose(leaves);
    return found;
  };
  const leaves = split(x);
  const gradients = gradient((y) => f(y).value)(leaves);
  const [scale, ...flat] = await read(
    concat([reshape(f(leaves).magnitude(), [1]), ...gradients.map((g) => reshape(g, [-1]))]),
  );
  dispose(leaves);
  const floor = Math.max(options.scale ?? 1, Number.isFinite(scale) ? (scale as number) : 0);
  return locate(await checkBatch({ values, gradient: flat }, x, { ...options, scale: floor }), problem, offsets);
}

/** Translates a report on the vector to one on the tensors. */
function locate(report: GradientReport, { paths, shapes }: Problem, offsets: readonly number[]): GradientReport {
  if (report.worst === undefined) return report;
  const { index } = report.worst;
  if (index === undefined) return { ...report, worst: { ...report.worst, input: paths.join(', ') } };
  const [position] = index as readonly [number];
  const i = offsets.findLastIndex((offset) => offset <= position);
  let rest = position - (offsets[i] as number);
  const place = [...(shapes[i] as readonly number[])]
    .reverse()
    .map((size) => {
      const along = rest % size;
      rest = (rest - along) / size;
      return along;
    })
    .reverse();
  return { ...report, worst: { ...report.worst, input: paths[i] as string, index: place } };
}

const withOrder = (report: GradientReport, order: Comparison['order']): GradientReport =>
  report.worst === undefined ? report : { ...report, worst: { ...report.worst, order } };

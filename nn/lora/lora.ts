import { type FloatDType, matmul, random, type Tensor, TensorError, zeros } from '../../tensor/index.ts';
import { initAffine } from '../initialisers.ts';
import { type PathPattern, pathMatcher, updateAt, widened } from '../trees.ts';
import { type LoraAdapter, type LoraAdapters, loraScale } from './adapter.ts';
import { adaptableWeights, adapterProblems, listed } from './problems.ts';

/** The layers that diffusers' Diffusion-DPO script adapts: the projections of every attention. */
export const attentionProjections = ['**.to_q', '**.to_k', '**.to_v', '**.to_out.0'] as const;

/** Options of `initLora`. */
export interface LoraOptions {
  /** Which linear layers and convolutions get adapters, by their paths; default `attentionProjections`. */
  readonly targets?: readonly PathPattern[];
  /** r; default 8. */
  readonly rank?: number;
  /** Default r, so that B·A counts as it is. */
  readonly alpha?: number;
  /** A is uniform in ±1/√fanIn (PEFT's default, and here), or normal with standard deviation 1/r (as that script has it). */
  readonly init?: 'kaiming' | 'gaussian';
  /** Default f32. */
  readonly dtype?: FloatDType;
}

/**
 * Adapters for layers of a tree of parameters. They change nothing yet, since B is zero.
 * @throws TensorError if no layer fits.
 */
export function initLora(
  params: unknown,
  key: Tensor,
  { targets = attentionProjections, rank = 8, alpha = rank, init = 'kaiming', dtype = 'f32' }: LoraOptions = {},
): LoraAdapters {
  if (!Number.isInteger(rank) || rank < 1)
    throw new TensorError(`initLora: rank must be a whole number of at least 1, got ${rank}`);
  const fits = pathMatcher(...targets);
  const layers = [...adaptableWeights(params)].filter(([path]) => fits(path));
  if (layers.length === 0)
    throw new TensorError(`initLora: no linear layer or convolution fits ${targets.map(String).join(', ')}`);
  return Object.fromEntries(
    layers.map(([path, weight], i) => {
      const [outputs, inputs, ...kernel] = weight.shape as readonly [number, number, ...number[]];
      const shape = [rank, inputs, ...kernel];
      const own = random.foldIn(key, i);
      const down =
        init === 'kaiming'
          ? initAffine(own, shape, false, { dtype }).weight
          : random.normal(own, shape, { dtype }).mul(1 / rank);
      return [path, { down, up: zeros([outputs, rank, ...kernel.map(() => 1)], { dtype }), alpha }];
    }),
  );
}

/** Options of the functions that apply adapters. */
export interface LoraStrength {
  /** A factor for what adapters add: 0 turns them off, and 1 is the default. */
  readonly strength?: number;
}

/**
 * Parameters with adapters beside the weights, which linear layers and convolutions then apply. Nothing is copied: the
 * `params` that come in remain the model without adapters, and gradients by the adapters do not touch them.
 * @throws TensorError that lists every layer that is not there, and every shape that does not fit.
 */
export const attachLora = <P>(params: P, adapters: LoraAdapters, { strength = 1 }: LoraStrength = {}): P =>
  updateLayers('attachLora', params, adapters, (layer, { down, up, alpha }, path) => {
    if ('lora' in layer) throw new TensorError(`attachLora: '${path}' has an adapter already; merge that one first`);
    return { ...layer, lora: { down, up, alpha: alpha * strength } };
  });

/** Adapters and how much of what they add counts. */
export interface WeightedLora extends LoraStrength {
  readonly adapters: LoraAdapters;
}

/**
 * Parameters with the products of several sets of adapters added to the weights: W + Σ strength·(alpha/r)·B·A, summed in f32 (f64
 * for weights in f64) and cast once to the weights' dtypes. The same function, and no adapters.
 * @throws TensorError as `attachLora` does.
 */
export function mergeLoras<P>(params: P, loras: readonly WeightedLora[]): P {
  const problems = loras.flatMap(({ adapters }) => adapterProblems(params, adapters));
  if (problems.length > 0) throw new TensorError(`mergeLora: ${listed(problems)}`);
  const paths = new Set(loras.flatMap(({ adapters }) => Object.keys(adapters)));
  return [...paths].reduce(
    (tree, path) =>
      updateAt(tree, path, (node) => {
        const layer = node as { readonly weight: Tensor };
        const weight = loras.reduce((sum, { adapters, strength = 1 }) => {
          const own = Object.hasOwn(adapters, path) ? adapters[path] : undefined;
          return own === undefined ? sum : sum.add(changeOf(sum, own, strength));
        }, widened(layer.weight));
        return { ...layer, weight: weight.cast(layer.weight.dtype) };
      }),
    params,
  );
}

/** strength·(alpha/r)·B·A, in the shape and dtype of a weight. */
function changeOf(weight: Tensor, adapter: LoraAdapter, strength: number): Tensor {
  const [down, up] = [adapter.down.cast(weight.dtype), adapter.up.cast(weight.dtype)];
  const [rank, outputs] = [down.shape[0] as number, weight.shape[0] as number];
  const product = matmul(up.reshape([outputs, rank]), down.reshape([rank, weight.size / outputs]));
  return product.mul(loraScale(adapter) * strength).reshape(weight.shape);
}

/** Parameters with the products of adapters added to the weights: see `mergeLoras`. */
export const mergeLora = <P>(params: P, adapters: LoraAdapters, options: LoraStrength = {}): P =>
  mergeLoras(params, [{ adapters, ...options }]);

/** Takes away again what `mergeLora` added. Rounding remains: to have the very same weights back, keep them. */
export const unmergeLora = <P>(params: P, adapters: LoraAdapters, { strength = 1 }: LoraStrength = {}): P =>
  mergeLora(params, adapters, { strength: -strength });

function updateLayers<P>(
  operator: string,
  params: P,
  adapters: LoraAdapters,
  update: (layer: { readonly weight: Tensor }, adapter: LoraAdapter, path: string) => unknown,
): P {
  const problems = adapterProblems(params, adapters);
  if (problems.length > 0) throw new TensorError(`${operator}: ${listed(problems)}`);
  return Object.entries(adapters).reduce(
    (tree, [path, adapter]) => updateAt(tree, path, (layer) => update(layer as { weight: Tensor }, adapter, path)),
    params,
  );
}

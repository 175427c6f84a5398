import { flattenTree, type Shape, type Tensor } from '../../tensor/index.ts';

/** The weights that can have adapters, by the paths of their layers: those of two or four axes. */
export function adaptableWeights(params: unknown): ReadonlyMap<string, Tensor> {
  return new Map(
    flattenTree(params).flatMap(({ path, tensor }) => {
      const isWeight = path.endsWith('.weight') && (tensor.rank === 2 || tensor.rank === 4);
      return isWeight ? [[path.slice(0, -'.weight'.length), tensor]] : [];
    }),
  );
}

/** The shapes of an adapter. */
export interface AdapterShapes {
  readonly down: { readonly shape: Shape };
  readonly up: { readonly shape: Shape };
}

/**
 * Shapes of an adapter as they count beside a weight of so many axes: a linear layer is a 1×1 convolution, and files may hold
 * adapters of the one for the other.
 */
export function besideWeight(axes: number, { down, up }: AdapterShapes): AdapterShapes {
  const fit = (shape: Shape): Shape => {
    if (axes === 4 && shape.length === 2) return [...shape, 1, 1];
    return axes === 2 && shape.length === 4 && shape[2] === 1 && shape[3] === 1 ? shape.slice(0, 2) : shape;
  };
  return { down: { shape: fit(down.shape) }, up: { shape: fit(up.shape) } };
}

const show = (shape: readonly (number | string)[]): string => `[${shape.join(', ')}]`;

/** What is wrong with adapters for these parameters, in words: layers that are not there, and shapes that do not fit. */
export function adapterProblems(params: unknown, adapters: Readonly<Record<string, AdapterShapes>>): string[] {
  const weights = adaptableWeights(params);
  return Object.entries(adapters).flatMap(([path, { down, up }]) => {
    const weight = weights.get(path);
    if (weight === undefined) return [`there is no linear layer or convolution '${path}'`];
    const [outputs, inputs, ...kernel] = weight.shape as readonly [number, number, ...number[]];
    const rank = down.shape[0] ?? 0;
    const beside = `'${path}', whose weight is ${show(weight.shape)}`;
    if (rank < 1 || show(down.shape) !== show([rank, inputs, ...kernel]))
      return [`A (down) of ${beside}, must be ${show(['rank', inputs, ...kernel])}, not ${show(down.shape)}`];
    const wanted = show([outputs, rank, ...kernel.map(() => 1)]);
    if (show(up.shape) !== wanted)
      return [`B (up) of ${beside}, must be ${wanted} beside an A of rank ${rank}, not ${show(up.shape)}`];
    return [];
  });
}

/** How many problems a message lists. */
const longest = 20;

/** Problems as one message. */
export function listed(problems: readonly string[]): string {
  if (problems.length === 1) return problems[0] as string;
  const more = problems.length > longest ? [`… and ${problems.length - longest} more`] : [];
  const lines = [...problems.slice(0, longest), ...more].map((line) => `\n  ${line}`);
  return `there are ${problems.length} problems:${lines.join('')}`;
}

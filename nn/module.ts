import { random, type Tensor } from '../tensor/index.ts';
import type { InitOptions, Layer } from './layer.ts';
import { tell } from './watch.ts';

/** Any layer, whatever its parameters and inputs are. */
interface AnyLayer {
  init(key: Tensor, options?: InitOptions): unknown;
  apply(params: never, ...inputs: never): unknown;
}

/** Layers in nested objects and arrays, as their parameters are nested. */
type Children = AnyLayer | undefined | readonly Children[] | { readonly [name: string]: Children };

/** The parameters of children: the same nesting; children that are not there have none. */
export type ChildParams<C> = C extends { init(key: Tensor, options?: InitOptions): infer Params }
  ? Params
  : { readonly [Name in keyof C]: ChildParams<C[Name]> };

/** Children as functions of their inputs alone. */
export type Bound<C> = C extends { apply(params: infer _, ...inputs: infer Inputs): infer Output }
  ? (...inputs: Inputs) => Output
  : { readonly [Name in keyof C]: Bound<C[Name]> };

const isLayer = (child: Children): child is AnyLayer =>
  child !== undefined &&
  typeof (child as AnyLayer).init === 'function' &&
  typeof (child as AnyLayer).apply === 'function';

function initChildren(child: Children, key: Tensor, options: InitOptions | undefined): unknown {
  if (child === undefined) return undefined;
  if (isLayer(child)) return child.init(key, options);
  if (Array.isArray(child)) return child.map((one: Children, i) => initChildren(one, random.foldIn(key, i), options));
  return Object.fromEntries(
    Object.entries(child as Readonly<Record<string, Children>>).flatMap(([name, one], i) =>
      one === undefined ? [] : [[name, initChildren(one, random.foldIn(key, i), options)]],
    ),
  );
}

function bindChildren(child: Children, params: unknown): unknown {
  if (child === undefined) return undefined;
  if (isLayer(child)) {
    return (...inputs: readonly unknown[]) => tell(params, child.apply(params as never, ...(inputs as never)));
  }
  if (Array.isArray(child))
    return child.map((one: Children, i) => bindChildren(one, (params as readonly unknown[])[i]));
  return Object.fromEntries(
    Object.entries(child as Readonly<Record<string, Children>>).map(([name, one]) => [
      name,
      bindChildren(one, (params as Readonly<Record<string, unknown>>)[name]),
    ]),
  );
}

/**
 * A layer made of others. Its parameters are nested as `children` are, so the names of the children are the names in
 * the state dict; children that are undefined have none. `forward` gets them as functions of their inputs:
 *
 * ```ts
 * const mlp = module({ fc1: linear(2, 64), fc2: linear(64, 1) }, ({ fc1, fc2 }, x: Tensor) => fc2(silu(fc1(x))));
 * ```
 */
export function module<
  const C extends { readonly [name: string]: Children },
  Inputs extends readonly unknown[],
  Output,
>(children: C, forward: (children: Bound<C>, ...inputs: Inputs) => Output): Layer<ChildParams<C>, Inputs, Output> {
  return {
    init: (key, options) => initChildren(children, key, options) as ChildParams<C>,
    apply: (params, ...inputs) => forward(bindChildren(children, params) as Bound<C>, ...inputs),
  };
}

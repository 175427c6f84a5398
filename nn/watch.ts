/** Who wants to see what layers give, by the parameters that a layer is applied to. */
const watchers = new WeakMap<object, (output: unknown) => void>();

/**
 * Calls back with what the layer inside a model that owns `params` (a subtree of the model's parameters, the very same
 * object) gives, each time it is applied; until the returned function is called. For looking inside a model: outputs are
 * lazy, like everything else.
 */
export function watch(params: object, callback: (output: unknown) => void): () => void {
  watchers.set(params, callback);
  return () => {
    if (watchers.get(params) === callback) watchers.delete(params);
  };
}

/** Tells whoever watches a layer with these parameters. */
export function tell<Output>(params: unknown, output: Output): Output {
  if (typeof params === 'object' && params !== null) watchers.get(params)?.(output);
  return output;
}

import {
  type CustomCall,
  isFloat,
  replaceLeaves,
  type Tensor,
  TensorError,
  treeLeaves,
  zerosLike,
} from '../tensor/index.ts';
import { makeNode, nextTensorId, sourceOf, topologicalOrder } from '../tensor/internal.ts';
import { backward } from './backward.ts';

/** Marks the outputs of a call, so that gradients take the call's rule instead of the graph that computed them. */
function markOutputs<Value>(value: Value, call: CustomCall): Value {
  return replaceLeaves(
    value,
    treeLeaves(value).map((y, index) => makeNode('custom', [y], { call, index }, y.shape, y.dtype)),
  );
}

/** The second argument of a gradient rule: the arguments and the value of the call. */
export interface CallContext<Args, Value> {
  readonly args: Args;
  readonly value: Value;
}

/**
 * Gives `f` its own gradient rule (JAX's `custom_vjp`). The rule maps a cotangent (a tree like the value) to one gradient
 * for each argument (a tree like the argument, or `undefined` for zero). A rule written in operators can be
 * differentiated again. Tensors that `f` closes over get no gradient: pass them as arguments.
 * @throws TensorError, when gradients are taken, for a rule that returns another number of gradients or tensors
 */
export function customGradient<Args extends readonly unknown[], Value>(
  f: (...args: Args) => Value,
  rule: (cotangent: Value, context: CallContext<Args, Value>) => { readonly [I in keyof Args]: Args[I] | undefined },
): (...args: Args) => Value {
  return (...args) => {
    const inputs = treeLeaves(args);
    const value = f(...args);
    const outputs = treeLeaves(value);
    const call: CustomCall = {
      name: f.name || 'customGradient',
      inputs,
      outputCount: outputs.length,
      rule: (cotangents) => {
        const full = replaceLeaves(
          value,
          outputs.map((output, i) => cotangents[i] ?? zerosLike(output)),
        );
        const results = rule(full, { args, value });
        if (results.length !== args.length) {
          throw new TensorError(
            `customGradient: the rule of ${call.name} must return ${args.length} gradients, got ${results.length}`,
          );
        }
        return args.flatMap((arg, i) => {
          const expected = treeLeaves(arg);
          const gradient = results[i];
          if (gradient === undefined) return expected.map(() => undefined);
          const leaves = treeLeaves(gradient);
          if (leaves.length !== expected.length) {
            throw new TensorError(
              `customGradient: gradient ${i} of ${call.name} must have ${expected.length} tensors, as the argument has; got ${leaves.length}`,
            );
          }
          return leaves;
        });
      },
    };
    return markOutputs(value, call);
  };
}

/**
 * Gradient checkpointing: the backward pass recomputes the inner values of `f` instead of keeping them in memory (Chen et
 * al. 2016, "Training deep nets with sublinear memory cost"; PyTorch's `checkpoint`). `f` must be pure: draw with explicit
 * keys. Gradients also reach tensors that `f` closes over.
 */
export function checkpoint<Args extends readonly unknown[], Value>(
  f: (...args: Args) => Value,
): (...args: Args) => Value {
  return (...args) => {
    const start = nextTensorId();
    const value = f(...args);
    const outputs = treeLeaves(value);
    const argumentTensors = new Set(treeLeaves(args));
    const inputs = [...argumentTensors, ...captured(outputs, argumentTensors, start)];
    const call: CustomCall = {
      name: 'checkpoint',
      inputs,
      outputCount: outputs.length,
      rule: (cotangents) => {
        const arrived = cotangents.filter((cotangent) => cotangent !== undefined);
        const late = new Map(
          [...argumentTensors].map((x) => [x, makeNode('barrier', [x, ...arrived], {}, x.shape, x.dtype)]),
        );
        const again = f(
          ...replaceLeaves(
            args,
            treeLeaves(args).map((x) => late.get(x) ?? x),
          ),
        );
        return backward(
          treeLeaves(again),
          cotangents,
          inputs.map((x) => late.get(x) ?? x),
        );
      },
    };
    return markOutputs(value, call);
  };
}

/** The float tensors that a function closes over: older than its call, used by its outputs, and not its arguments. */
function captured(outputs: readonly Tensor[], argumentTensors: ReadonlySet<Tensor>, start: number): Tensor[] {
  const isOutside = (tensor: Tensor) => argumentTensors.has(tensor) || tensor.id < start;
  const order = topologicalOrder(outputs, (tensor) => {
    const source = sourceOf(tensor);
    if (isOutside(tensor) || source.kind !== 'pending') return [];
    return source.node.primitive === 'custom' ? source.node.attributes.call.inputs : source.node.inputs;
  });
  return order.filter((tensor) => tensor.id < start && !argumentTensors.has(tensor) && isFloat(tensor.dtype));
}

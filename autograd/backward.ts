import type { Primitive } from '../tensor/index.ts';
import { add, type CustomCall, isFloat, sameShape, Tensor, TensorError, typeOf, zerosLike } from '../tensor/index.ts';
import { makeNode, sourceOf, topologicalOrder } from '../tensor/internal.ts';
import type { Gradient, Rule, RuleContext } from './rule.ts';
import { type Rules, rules } from './rules.ts';

/** A vertex of the graph that gradients walk: a call with its own rule stands between its outputs and its inputs. */
type Vertex = Tensor | CustomCall;

function inputsOf(vertex: Vertex): readonly Vertex[] {
  if (!(vertex instanceof Tensor)) return vertex.inputs;
  const source = sourceOf(vertex);
  if (source.kind !== 'pending') return [];
  return source.node.primitive === 'custom' ? [source.node.attributes.call] : source.node.inputs;
}

/**
 * Gradients of Σ ⟨output, cotangent⟩ with respect to each target, as graphs; `undefined` where no path leads from an
 * output to the target. Targets count as independent variables: the walk stops at them.
 */
export function backward(
  outputs: readonly Tensor[],
  cotangents: readonly (Tensor | undefined)[],
  targets: readonly Tensor[],
  table: Rules = rules,
): (Tensor | undefined)[] {
  const targetSet = new Set<Vertex>(targets);
  const order = topologicalOrder<Vertex>(outputs, (vertex) => (targetSet.has(vertex) ? [] : inputsOf(vertex)));
  const active = new Set<Vertex>();
  for (const vertex of order) {
    const carries = !(vertex instanceof Tensor) || isFloat(vertex.dtype);
    if (carries && (targetSet.has(vertex) || inputsOf(vertex).some((input) => active.has(input)))) active.add(vertex);
  }

  const gradients = new Map<Tensor, Tensor>();
  const accumulate = (tensor: Tensor, gradient: Tensor): void => {
    if (gradient.dtype !== tensor.dtype || !sameShape(gradient.shape, tensor.shape)) {
      throw new TensorError(
        `gradient: a gradient of ${typeOf(gradient)} was given for ${typeOf(tensor)}; they must agree`,
      );
    }
    const sofar = gradients.get(tensor);
    gradients.set(tensor, sofar === undefined ? gradient : add(sofar, gradient));
  };
  const callCotangents = new Map<CustomCall, (Tensor | undefined)[]>();
  outputs.forEach((output, i) => {
    const cotangent = cotangents[i];
    if (cotangent !== undefined && active.has(output)) accumulate(output, cotangent);
  });

  for (const vertex of order.reverse()) {
    if (targetSet.has(vertex) || !active.has(vertex)) continue;
    if (!(vertex instanceof Tensor)) {
      const arrived = callCotangents.get(vertex);
      if (arrived === undefined) continue;
      const results = vertex.rule(arrived);
      vertex.inputs.forEach((input, i) => {
        const gradient = results[i];
        if (gradient !== undefined && active.has(input)) accumulate(input, gradient);
      });
      continue;
    }
    const cotangent = gradients.get(vertex);
    const source = sourceOf(vertex);
    if (cotangent === undefined || source.kind !== 'pending') continue;
    gradients.delete(vertex);
    const { primitive, inputs, attributes } = source.node;
    if (source.node.primitive === 'custom') {
      const { call, index } = source.node.attributes;
      const arrived = callCotangents.get(call) ?? new Array<undefined>(call.outputCount).fill(undefined);
      arrived[index] = cotangent;
      callCotangents.set(call, arrived);
      continue;
    }
    // The union type cannot express that a primitive's rule takes the attributes of this primitive.
    const rule = table[primitive] as unknown as Rule<Primitive>;
    const composed: RuleContext<Primitive>['composed'] = (composition) =>
      composedGradients(composition, inputs, cotangent, table);
    const results: readonly (Gradient | undefined)[] = rule({
      cotangent,
      output: vertex,
      inputs,
      attributes,
      composed,
    });
    inputs.forEach((input, i) => {
      const gradient = results[i];
      if (gradient !== undefined && active.has(input)) accumulate(input, gradient());
    });
  }
  return targets.map((target) => gradients.get(target));
}

/** Gradients of a composition with respect to its inputs, which count as independent variables; built at the first use. */
function composedGradients(
  composition: (...inputs: readonly Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  cotangent: Tensor,
  table: Rules,
): readonly Gradient[] {
  let gradients: readonly (Tensor | undefined)[] | undefined;
  return inputs.map((input, i) => () => {
    if (gradients === undefined) {
      const variables = inputs.map((x) => makeNode('variable', [x], {}, x.shape, x.dtype));
      gradients = backward([composition(...variables)], [cotangent], variables, table);
    }
    return gradients[i] ?? zerosLike(input);
  });
}

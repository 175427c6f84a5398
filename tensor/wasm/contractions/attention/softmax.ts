import { forRange, get, increase, int, integers, product, repeat, set } from '../../assembler/control.ts';
import { i32, v128 } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import type { QueryPanel } from './queryPanel.ts';

/** (scores, bias, keys): scores += bias, both panels [keys, queries]. */
export const addBias = (module: ModuleBuilder, { float, vectors, load, store, rowBytes }: QueryPanel) =>
  module.function({ parameters: ['i32', 'i32', 'i32'] }, ([scores, bias, keys]) =>
    repeat(
      keys,
      get(keys),
      vectors.map((v) => store(scores, v, float.add(load(scores, v), load(bias, v)))),
      increase(scores, rowBytes),
      increase(bias, rowBytes),
    ),
  );

/** (scores, query, keys): the causal mask. Scores of keys after the query become −∞; the panel's first query is `query`. */
export const addCausalMask = (module: ModuleBuilder, panel: QueryPanel) => {
  const { element, float, splat, countFrom, vectors, load, store, rowBytes } = panel;
  return module.function({ parameters: ['i32', 'i32', 'i32'] }, ([scores, query, keys], scope) => {
    const key = scope.local('i32');
    const distance = scope.local('v128');
    return [
      increase(scores, product(get(query), int(rowBytes))),
      forRange(
        key,
        i32.sub(get(keys), get(query)),
        1,
        set(distance, splat(get(key))),
        vectors.map((v) =>
          store(
            scores,
            v,
            v128.bitselect(
              float.const(Number.NEGATIVE_INFINITY),
              load(scores, v),
              float.lt(countFrom(v * element.lanes), get(distance)),
            ),
          ),
        ),
        increase(scores, rowBytes),
      ),
    ];
  });
};

/** (scores, keys, sums): scores become e^(score − largest); stores their sum for each query at `sums`. */
export const addExponentials = (module: ModuleBuilder, panel: QueryPanel) => {
  const { element, float, exp, maxFinite, vectors, locals, vectorOf, setVector, load, store, rowBytes } = panel;
  return module.function({ parameters: ['i32', 'i32', 'i32'] }, ([scores, keys, sums], scope) => {
    const [largest, value, totals] = [locals(scope), locals(scope), locals(scope)];
    const { from, i } = integers(scope, 'from i');
    return [
      largest.map((one) => set(one, float.const(Number.NEGATIVE_INFINITY))),
      set(from, get(scores)),
      repeat(
        i,
        get(keys),
        vectors.map((v) => setVector(largest, v, float.pmax(vectorOf(largest, v), load(from, v)))),
        increase(from, rowBytes),
      ),
      // A query that sees no key has the largest score −∞; shifting by 0 instead makes all of its weights 0, not NaN.
      largest.map((one) =>
        set(one, v128.bitselect(get(one), element.zero, float.le(float.abs(get(one)), float.const(maxFinite)))),
      ),
      panel.sumRows(scope, keys, totals, (partial) => [
        vectors.map((v) => setVector(value, v, exp(scope, float.sub(load(scores, v), vectorOf(largest, v))))),
        vectors.map((v) => [
          store(scores, v, vectorOf(value, v)),
          setVector(partial, v, float.add(vectorOf(partial, v), vectorOf(value, v))),
        ]),
        increase(scores, rowBytes),
      ]),
      vectors.map((v) => store(sums, v, vectorOf(totals, v))),
    ];
  });
};

/** (values, rows, sums): divides a panel [rows, queries] by one number for each query. */
export const addDivide = (module: ModuleBuilder, { float, vectors, load, store, rowBytes }: QueryPanel) =>
  module.function({ parameters: ['i32', 'i32', 'i32'] }, ([values, rows, sums]) =>
    repeat(
      rows,
      get(rows),
      vectors.map((v) => store(values, v, float.div(load(values, v), load(sums, v)))),
      increase(values, rowBytes),
    ),
  );

/** (weights, gradients, keys, sums): divides the weights by their sums, and turns ∂L/∂weights into ∂L/∂scores. */
export const addSoftmaxGradient = (module: ModuleBuilder, panel: QueryPanel) => {
  const { float, vectors, locals, vectorOf, setVector, load, store, rowBytes } = panel;
  return module.function({ parameters: ['i32', 'i32', 'i32', 'i32'] }, ([weights, gradients, keys, sums], scope) => {
    const [factor, value, totals] = [locals(scope), locals(scope), locals(scope)];
    const { weight, gradient, i } = integers(scope, 'weight gradient i');
    return [
      vectors.map((v) => setVector(factor, v, float.div(float.const(1), load(sums, v)))),
      set(weight, get(weights)),
      set(gradient, get(gradients)),
      panel.sumRows(scope, keys, totals, (partial) => [
        vectors.map((v) => [
          setVector(value, v, float.mul(load(weight, v), vectorOf(factor, v))),
          store(weight, v, vectorOf(value, v)),
          setVector(partial, v, float.add(vectorOf(partial, v), float.mul(vectorOf(value, v), load(gradient, v)))),
        ]),
        increase(weight, rowBytes),
        increase(gradient, rowBytes),
      ]),
      // ∂L/∂S = P∘(∂L/∂P − Σ P∘∂L/∂P)
      repeat(
        i,
        get(keys),
        vectors.map((v) =>
          store(gradients, v, float.mul(load(weights, v), float.sub(load(gradients, v), vectorOf(totals, v)))),
        ),
        increase(weights, rowBytes),
        increase(gradients, rowBytes),
      ),
    ];
  });
};

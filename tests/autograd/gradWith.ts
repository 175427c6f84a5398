import { backward } from '../../autograd/backward.ts';
import { type Rules, rules } from '../../autograd/rules.ts';
import type { GradientProvider } from '../../autograd/testing/index.ts';
import { asVariables } from '../../autograd/variables.ts';
import { onesLike, zerosLike } from '../../tensor/index.ts';

/** `grad` with some of the rules replaced. */
export function gradWith(changed: Partial<Rules>): GradientProvider {
  const table: Rules = { ...rules, ...changed };
  return (f) => (x) => {
    const { variables, tree } = asVariables('gradWith', x);
    const loss = f(tree);
    const gradients = backward([loss], [onesLike(loss)], variables, table);
    return variables.map((variable, i) => gradients[i] ?? zerosLike(variable));
  };
}

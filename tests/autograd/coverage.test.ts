import { describe, expect, test } from 'vitest';
import { rules } from '../../autograd/rules.ts';
import { inputsOf, type Tensor, treeLeaves } from '../../tensor/index.ts';
import { sourceOf, topologicalOrder } from '../../tensor/internal.ts';
import * as activations from '../../tensor/ops/activations.ts';
import * as attention from '../../tensor/ops/attention.ts';
import * as conv from '../../tensor/ops/conv.ts';
import * as einsum from '../../tensor/ops/einsum.ts';
import * as elementwise from '../../tensor/ops/elementwise.ts';
import * as indexing from '../../tensor/ops/indexing.ts';
import * as losses from '../../tensor/ops/losses.ts';
import * as matmul from '../../tensor/ops/matmul.ts';
import * as movement from '../../tensor/ops/movement.ts';
import * as norms from '../../tensor/ops/norms.ts';
import * as operands from '../../tensor/ops/operands.ts';
import * as reductions from '../../tensor/ops/reductions.ts';
import * as spatial from '../../tensor/ops/spatial.ts';
import * as stopGradient from '../../tensor/ops/stopGradient.ts';
import { families } from './cases/index.ts';

const cases = Object.values(families).flat();

/** Primitives without a gradient, with the reason. */
const exemptPrimitives: Readonly<Record<string, string>> = {
  constant: 'has no inputs',
  iota: 'has no inputs',
  equal: 'its output is bool',
  less: 'its output is bool',
  isNaN: 'its output is bool',
  isFinite: 'its output is bool',
  threefry: 'takes and returns integers',
  argMax: 'its output is an index',
  argSort: 'its output is an index',
};

/** Exports of the operators' files without a gradient, with the reason. */
const exemptOperators: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['equal', 'notEqual', 'less', 'lessEqual', 'greater', 'greaterEqual', 'isNaN', 'isFinite'].map((name) => [
      name,
      'returns bool',
    ]),
  ),
  ...Object.fromEntries(['logicalAnd', 'logicalOr', 'logicalNot', 'any', 'all'].map((name) => [name, 'is for bool'])),
  ...Object.fromEntries(['argMax', 'argMin', 'argSort'].map((name) => [name, 'returns indices'])),
  oneHot: 'takes indices',
  zerosLike: 'does not depend on the values',
  onesLike: 'does not depend on the values',
  constant: 'has no inputs',
  iota: 'has no inputs',
  stopGradient: 'is meant to differ from the derivative',
  adjointKernel: 'is a part of convTranspose2d',
  inFloat32: 'is the identity in f64',
  broadcastOperands: 'is a part of every operator of two inputs',
  ...Object.fromEntries(
    ['dilated', 'pairOf', 'paddingOf', 'checkFloat', 'checkNumeric', 'checkBool'].map((name) => [
      name,
      'does not make tensors',
    ]),
  ),
};

/** The primitives in the graphs of the cases. */
const reached = new Set(
  cases
    .flatMap((entry) => entry.samples(20))
    .flatMap(({ inputs, f }) => topologicalOrder<Tensor>(treeLeaves(f(...inputs)), inputsOf))
    .flatMap((x) => {
      const source = sourceOf(x);
      return source.kind === 'pending' ? [source.node.primitive as string] : [];
    }),
);

describe('the table of gradient checks', () => {
  test('reaches every primitive that has a gradient', () => {
    const missing = Object.keys(rules).filter((name) => !reached.has(name) && exemptPrimitives[name] === undefined);
    expect(missing).toEqual([]);
  });

  test('exempts only existing primitives', () => {
    expect(Object.keys(exemptPrimitives).filter((name) => !(name in rules))).toEqual([]);
  });

  test('has a case for every operator', () => {
    const modules = { ...activations, ...attention, ...conv, ...einsum, ...elementwise, ...indexing, ...losses };
    const others = { ...matmul, ...movement, ...norms, ...operands, ...reductions, ...spatial, ...stopGradient };
    const operators = Object.entries({ ...modules, ...others }).filter(([, value]) => typeof value === 'function');
    const covered = new Set(cases.map(({ name }) => name.split(':')[0]));
    const missing = operators.filter(([name]) => !covered.has(name) && exemptOperators[name] === undefined);
    expect(missing.map(([name]) => name)).toEqual([]);
    expect(Object.keys(exemptOperators).filter((name) => !operators.some(([known]) => known === name))).toEqual([]);
  });
});

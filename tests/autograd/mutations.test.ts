import { describe, expect, test } from 'vitest';
import { convInputGradient, convKernelGradient } from '../../autograd/convRules.ts';
import { padGradient, sliceGradient } from '../../autograd/movementRules.ts';
import { type Rules, rules } from '../../autograd/rules.ts';
import { checkGradients, GradientCheckError } from '../../autograd/testing/index.ts';
import * as t from '../../tensor/index.ts';
import { makeNode } from '../../tensor/internal.ts';
import { gradWith } from './gradWith.ts';

type Tensor = t.Tensor;

/** A wrong rule, and a function whose gradient shows the mistake. */
interface Mutation {
  readonly rules: Partial<Rules>;
  readonly inputs: readonly Tensor[];
  readonly f: (...inputs: Tensor[]) => unknown;
  /** 2 if only second derivatives show the mistake. */
  readonly order?: 1 | 2;
}

const ramp = (shape: readonly number[], step = 0.37): Tensor =>
  t.tensor(
    Float64Array.from({ length: t.sizeOf(shape) }, (_, i) => Math.sin(1 + i * step * 3) + 0.1 * i),
    { shape },
  );
const x = ramp([2, 3]);
const y = ramp([2, 3], 0.71);
const images = ramp([2, 4, 5]);
const kernel = ramp([4, 2, 3], 0.53);
const first = (inputs: readonly Tensor[]): Tensor => inputs[0] as Tensor;
const second = (inputs: readonly Tensor[]): Tensor => inputs[1] as Tensor;
const ids = t.tensor([[0, 0, 2]], { dtype: 'i32' });

const general = { strides: [2], before: [1], after: [2], inputDilation: [1], kernelDilation: [1], groups: 2 };
const convolved = (a: Tensor, b: Tensor) => t.conv(a, b, general);

const mutations: Readonly<Record<string, Mutation>> = {
  'wrong sign (cos)': {
    rules: { cos: ({ cotangent, inputs }) => [() => t.mul(cotangent, t.sin(first(inputs)))] },
    inputs: [x],
    f: t.cos,
  },
  'missing factor (sqrt)': {
    rules: { sqrt: ({ cotangent, output }) => [() => t.div(cotangent, output)] },
    inputs: [t.exp(x)],
    f: t.sqrt,
  },
  'forgotten chain factor (exp without the cotangent)': {
    rules: { exp: ({ output }) => [() => output] },
    inputs: [x],
    f: (x) => t.square(t.exp(x)),
  },
  'wrong function (tanh′ = 1 − y)': {
    rules: { tanh: ({ cotangent, output }) => [() => t.mul(cotangent, t.sub(1, output))] },
    inputs: [x],
    f: t.tanh,
  },
  'wrong constant (erf)': {
    rules: { erf: ({ cotangent, inputs }) => [() => t.mul(cotangent, t.exp(t.neg(t.square(first(inputs)))))] },
    inputs: [x],
    f: t.erf,
  },
  'constant instead of a function (right first, wrong second derivative)': {
    rules: { sin: ({ cotangent, inputs }) => [() => t.mul(cotangent, t.stopGradient(t.cos(first(inputs))))] },
    inputs: [x],
    f: t.sin,
    order: 2,
  },
  'forgotten second input (mul)': {
    rules: { mul: ({ cotangent, inputs }) => [() => t.mul(cotangent, second(inputs)), undefined] },
    inputs: [x, y],
    f: t.mul,
  },
  'numerator and denominator mixed up (div)': {
    rules: {
      div: ({ cotangent, inputs, output }) => [
        () => t.div(cotangent, second(inputs)),
        () => t.neg(t.mul(cotangent, t.div(output, first(inputs)))),
      ],
    },
    inputs: [x, t.exp(y)],
    f: t.div,
  },
  'exponent not lowered (pow)': {
    rules: {
      pow: ({ cotangent, inputs, output }) => [() => t.mul(cotangent, t.mul(output, second(inputs))), undefined],
    },
    inputs: [t.exp(x)],
    f: (x) => t.pow(x, 3),
  },
  'loser takes it all (maximum)': {
    rules: {
      maximum: ({ cotangent, inputs }) => [
        () => t.where(t.less(first(inputs), second(inputs)), cotangent, 0),
        () => t.where(t.less(first(inputs), second(inputs)), 0, cotangent),
      ],
    },
    inputs: [x, y],
    f: (x, y) => t.maximum(x, t.add(y, 0.3)),
  },
  'swapped branches (where)': {
    rules: {
      where: ({ cotangent, inputs }) => [
        undefined,
        () => t.where(first(inputs), 0, cotangent),
        () => t.where(first(inputs), cotangent, 0),
      ],
    },
    inputs: [x, y],
    f: (x, y) => t.where(t.tensor([true, false, true]), x, y),
  },
  'missing sum over repeats (broadcastTo)': {
    rules: {
      broadcastTo: ({ cotangent, inputs }) => [
        () =>
          t.slice(
            cotangent,
            first(inputs).shape.map(() => 0),
            first(inputs).shape,
          ),
      ],
    },
    inputs: [ramp([3])],
    f: (x) => t.mul(x, y),
  },
  'permutation not inverted (permute)': {
    rules: { permute: ({ cotangent, attributes: { axes } }) => [() => t.permute(cotangent, axes)] },
    inputs: [ramp([2, 2, 2])],
    f: (x) => t.sin(t.permute(x, [1, 2, 0])),
  },
  'wrong axis (flip)': {
    rules: {
      flip: ({ cotangent, attributes: { axes } }) => [
        () =>
          t.flip(
            cotangent,
            axes.map((axis) => 1 - axis),
          ),
      ],
    },
    inputs: [x],
    f: (x) => t.flip(x, 0),
  },
  'missing stride (slice)': {
    rules: {
      slice: ({ cotangent, inputs, attributes }) => [
        () => sliceGradient(cotangent, first(inputs), { ...attributes, steps: attributes.steps.map(() => 1) }),
      ],
    },
    inputs: [ramp([7])],
    f: (x) => t.slice(x, [1], [], [2]),
  },
  'missing gaps (pad)': {
    rules: {
      pad: ({ cotangent, inputs, attributes }) => [
        () => padGradient(cotangent, first(inputs), { ...attributes, interior: attributes.interior.map(() => 0) }),
      ],
    },
    inputs: [ramp([3])],
    f: (x) => t.padInterior(x, [1], [1], [1]),
  },
  'parts in the wrong order (concat)': {
    rules: {
      concat: (context) => {
        const made = rules.concat(context);
        return [made[1], made[0]];
      },
    },
    inputs: [x, y],
    f: (x, y) => t.concat([x, y]),
  },
  'mean instead of sum (sum)': {
    rules: {
      sum: ({ cotangent, inputs }) => [
        () => t.div(t.broadcastTo(cotangent, first(inputs).shape), first(inputs).size / cotangent.size),
      ],
    },
    inputs: [x],
    f: (x) => t.sum(x, 1),
  },
  'gradient to every element (max)': {
    rules: { max: ({ cotangent, inputs }) => [() => t.broadcastTo(cotangent, first(inputs).shape)] },
    inputs: [x],
    f: (x) => t.max(x, 1),
  },
  'running in the wrong direction (cumsum)': {
    rules: { cumsum: ({ cotangent, attributes: { axis } }) => [() => t.cumsum(cotangent, axis)] },
    inputs: [x],
    f: (x) => t.cumsum(x, 1),
  },
  'gather without accumulation': {
    rules: {
      gather: ({ cotangent, inputs, attributes: { axis } }) => {
        const count = t.scatterAdd(t.zerosLike(first(inputs)), second(inputs), t.onesLike(cotangent), axis);
        return [
          () => t.div(t.scatterAdd(t.zerosLike(first(inputs)), second(inputs), cotangent, axis), t.maximum(count, 1)),
        ];
      },
    },
    inputs: [x],
    f: (x) => t.gather(x, ids, 1),
  },
  'updates forgotten (scatterAdd)': {
    rules: { scatterAdd: ({ cotangent }) => [() => cotangent, undefined, undefined] },
    inputs: [x, ramp([1, 3])],
    f: (x, updates) => t.scatterAdd(x, ids, updates, 1),
  },
  'operand not transposed (matmul)': {
    rules: {
      matmul: ({ cotangent, inputs }) => [
        () => t.matmul(cotangent, second(inputs)),
        () => t.matmul(t.transpose(first(inputs)), cotangent),
      ],
    },
    inputs: [ramp([3, 3]), ramp([3, 3], 0.71)],
    f: t.matmul,
  },
  'kernel not mirrored (conv)': {
    rules: {
      conv: ({ cotangent, inputs, attributes }) => [
        () => convInputGradient(cotangent, first(inputs), t.flip(second(inputs), 2), attributes),
        () => convKernelGradient(cotangent, first(inputs), second(inputs), attributes),
      ],
    },
    inputs: [images, kernel],
    f: convolved,
  },
  'padding off by one (conv)': {
    rules: {
      conv: ({ cotangent, inputs, attributes }) => {
        const shifted = { ...attributes, before: attributes.before.map((amount) => amount + 1) };
        return [
          () => convInputGradient(cotangent, first(inputs), second(inputs), shifted),
          () => convKernelGradient(cotangent, first(inputs), second(inputs), attributes),
        ];
      },
    },
    inputs: [images, kernel],
    f: convolved,
  },
  'groups dropped (conv)': {
    rules: {
      conv: ({ cotangent, inputs, attributes }) => {
        // One group of all channels, from which every output takes the first.
        const whole = t.concat([second(inputs), t.zerosLike(second(inputs))], 1);
        return [
          () => convInputGradient(cotangent, first(inputs), whole, { ...attributes, groups: 1 }),
          () => convKernelGradient(cotangent, first(inputs), second(inputs), attributes),
        ];
      },
    },
    inputs: [images, kernel],
    f: convolved,
  },
  'kernel strides and dilation not exchanged (conv)': {
    rules: {
      conv: ({ cotangent, inputs, attributes }) => [
        () => convInputGradient(cotangent, first(inputs), second(inputs), attributes),
        () =>
          convKernelGradient(cotangent, first(inputs), second(inputs), {
            ...attributes,
            strides: attributes.strides.map(() => 1),
          }),
      ],
    },
    inputs: [images, kernel],
    f: convolved,
  },
  'gradient cut off (variable)': {
    rules: { variable: () => [undefined] },
    inputs: [x],
    f: (x) => makeNode('variable', [t.sin(x)], {}, x.shape, x.dtype),
  },
};

describe.each(Object.entries(mutations))('%s', (_, { rules: changed, inputs, f, order = 1 }: Mutation) => {
  const given = inputs as Tensor[];

  test('is found', async () => {
    const checked = checkGradients(f, given, { order, gradient: gradWith(changed) });
    await expect(checked).rejects.toThrow(GradientCheckError);
    await expect(checked).rejects.toThrow(`order ${order}`);
  });

  test('is found in random directions too', async () => {
    const options = { order, gradient: gradWith(changed), mode: 'directions', throws: false } as const;
    expect((await checkGradients(f, given, options)).ok).toBe(false);
  });

  test('passes with the rule as it is', async () => {
    const { ok, checked } = await checkGradients(f, given, { order: 2, gradient: gradWith({}) });
    expect(ok).toBe(true);
    expect(checked).toBe(2 * given.reduce((total, { size }) => total + size, 0));
  });
});

// Elements that tie have no derivative, so differences cannot tell which gets the gradient: see conventions.test.ts.
test('ties of max that do not share give too much gradient', async () => {
  const greedy: Partial<Rules> = {
    max: ({ cotangent, inputs, output }) => [
      () =>
        t.where(
          t.equal(first(inputs), t.broadcastTo(output, first(inputs).shape)),
          t.broadcastTo(cotangent, first(inputs).shape),
          0,
        ),
    ],
  };
  // If all three move together, max has the derivative 1.
  const f = (shift: Tensor) => t.max(t.add(t.tensor([2, 2, 2], { dtype: 'f64' }), shift));
  const inputs: [Tensor] = [t.tensor(0.5, { dtype: 'f64' })];
  expect((await checkGradients(f, inputs)).ok).toBe(true);
  expect((await checkGradients(f, inputs, { gradient: gradWith(greedy), throws: false })).ok).toBe(false);
});

import * as t from '../../../tensor/index.ts';
import type { Params } from '../params.ts';
import type { Adapter, Adapters } from './adapter.ts';

/** An operator of one tensor, `x`. */
export const unary =
  (f: (x: t.Tensor, params: Params) => t.Tensor): Adapter =>
  (inputs, params) =>
    f(inputs.get('x'), params);

/** An operator of two broadcasting tensors, `a` and `b`. */
const binary =
  (f: (a: t.Tensor, b: t.Tensor) => t.Tensor): Adapter =>
  (inputs, params) => {
    const a = inputs.get('a');
    const b = inputs.get('b');
    params.states('broadcast', [a.shape, b.shape]);
    return f(a, b);
  };

const plain = (f: (x: t.Tensor) => t.Tensor): Adapter => unary((x) => f(x));

/** [..., 2n] → [..., n]. */
function geglu(x: t.Tensor): t.Tensor {
  const [value, gate] = t.split(x, 2, -1) as [t.Tensor, t.Tensor];
  return t.mul(value, t.gelu(gate));
}

export const elementwise: Adapters = {
  neg: plain(t.neg),
  exp: plain(t.exp),
  expm1: plain(t.expm1),
  log: plain(t.log),
  log1p: plain(t.log1p),
  sqrt: plain(t.sqrt),
  rsqrt: plain(t.rsqrt),
  reciprocal: plain(t.reciprocal),
  square: plain(t.square),
  sin: plain(t.sin),
  cos: plain(t.cos),
  tan: plain(t.tan),
  tanh: plain(t.tanh),
  sigmoid: plain(t.sigmoid),
  softplus: plain(t.softplus),
  erf: plain(t.erf),
  abs: plain(t.abs),
  sign: plain(t.sign),
  floor: plain(t.floor),
  ceil: plain(t.ceil),
  round: plain(t.round),
  trunc: plain(t.trunc),
  relu: plain(t.relu),
  silu: plain(t.silu),
  quick_gelu: plain(t.quickGelu),
  log_sigmoid: plain(t.logSigmoid),
  gelu: unary((x, params) => {
    params.states('gelu', 'exact, erf');
    params.states('tanh_approximation', false);
    return t.gelu(x);
  }),
  gelu_tanh: unary((x, params) => {
    params.states('tanh_approximation', true);
    return t.geluTanh(x);
  }),
  geglu: unary((x, params) => {
    const order = 'first half is the value, second half is passed through exact gelu; out = a * gelu(b)';
    params.states('order', order);
    return geglu(x);
  }),
  add: binary(t.add),
  sub: binary(t.sub),
  mul: binary(t.mul),
  div: binary(t.div),
  maximum: binary(t.maximum),
  minimum: binary(t.minimum),
  remainder: binary(t.remainder),
  equal: binary(t.equal),
  not_equal: binary(t.notEqual),
  less: binary(t.less),
  less_equal: binary(t.lessEqual),
  greater: binary(t.greater),
  greater_equal: binary(t.greaterEqual),
  pow: (inputs, params) =>
    params.has('exponent') ? t.pow(inputs.get('x'), params.number('exponent')) : binary(t.pow)(inputs, params),
  clamp: unary((x, params) => clamp(x, optionalNumber(params, 'min'), optionalNumber(params, 'max'))),
  where: (inputs, params) => {
    const condition = inputs.get('cond', 'condition');
    params.states('cond', condition.dtype === 'bool' ? 'bool' : 'int32 0/1');
    const a = inputs.get('a');
    const b = inputs.get('b');
    params.states('broadcast', [condition.shape, a.shape, b.shape]);
    return t.where(t.cast(condition, 'bool'), a, b);
  },
};

const optionalNumber = (params: Params, name: string): number | undefined =>
  params.has(name) ? params.number(name) : undefined;

const clamp = (x: t.Tensor, min: number | undefined, max: number | undefined): t.Tensor =>
  t.clamp(x, { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) });

const number = String.raw`([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)`;

/** Operators that carry a number in their name: `pow_2.5`, `clamp_-1_1`. */
export function elementwiseByPattern(name: string): Adapter | undefined {
  const power = new RegExp(`^pow_${number}$`, 'i').exec(name);
  if (power !== null) return plain((x) => t.pow(x, Number(power[1])));
  const bounds = new RegExp(`^clamp_${number}_${number}$`, 'i').exec(name);
  if (bounds !== null) return plain((x) => clamp(x, Number(bounds[1]), Number(bounds[2])));
  return undefined;
}

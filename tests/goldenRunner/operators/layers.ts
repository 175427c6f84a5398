import * as t from '../../../tensor/index.ts';
import type { Params } from '../params.ts';
import type { Adapter, Adapters, Inputs } from './adapter.ts';
import { unary } from './elementwise.ts';
import { padPairs } from './movement.ts';

const matmul: Adapter = (inputs, params) => {
  const a = inputs.get('a');
  const b = inputs.get('b');
  params.states('shapes', [a.shape, b.shape]);
  return t.matmul(a, b);
};

/** The options that both convolutions share. */
function convOptions(inputs: Inputs, params: Params, weightLayout: string) {
  params.states('weight_layout', weightLayout);
  return {
    stride: params.pair('stride', 1),
    padding: params.pair('padding', 0),
    dilation: params.pair('dilation', 1),
    groups: params.integer('groups', 1),
    bias: inputs.optional('bias'),
  };
}

function conv2d(x: t.Tensor, inputs: Inputs, params: Params): t.Tensor {
  return t.conv2d(x, inputs.get('weight'), convOptions(inputs, params, '[out, in/groups, kh, kw]'));
}

function attention(inputs: Inputs, params: Params): t.Tensor {
  const q = inputs.get('q');
  const mask = inputs.optional('mask');
  const exact = mask !== undefined && ['bool', 'i32', 'u32'].includes(mask.dtype);
  params.states('layout', '[batch, heads, tokens, head_dim]');
  params.states('mask', mask === undefined ? null : exact ? 'bool' : 'additive');
  if (params.isText('scale')) params.states('scale', '1/sqrt(head_dim)');
  return t.scaledDotProductAttention(q, inputs.get('k'), inputs.get('v'), {
    mask: exact ? t.cast(mask, 'bool') : mask,
    causal: params.boolean('causal', false),
    scale: params.isNumber('scale') ? params.number('scale') : undefined,
  });
}

const loss = (
  f: (a: t.Tensor, b: t.Tensor, options: { reduction: 'mean' | 'sum' | 'none' }) => t.Tensor,
  first: string,
  second: string,
): Adapter => {
  return (inputs, params) => {
    const reduction = params.oneOf('reduction', ['mean', 'sum', 'none'], 'mean');
    return f(inputs.get(first), inputs.get(second), { reduction });
  };
};

function poolOptions(params: Params) {
  const kernel = params.pair(params.either('kernel', 'kernel_size'));
  const stride = params.pair('stride', kernel);
  params.states('ceil_mode', false);
  params.states('dilation', 1, [1, 1]);
  return { kernel, stride, padding: params.pair('padding', 0) };
}

/** The new height and width, given or as a multiple of the old. */
function resized(x: t.Tensor, params: Params): [number, number] {
  if (params.has('size')) return params.pair('size');
  const [vertical, horizontal] = params.numberPair('scale_factor');
  const [height, width] = x.shape.slice(2) as [number, number];
  return [Math.floor(height * vertical), Math.floor(width * horizontal)];
}

export const layers: Adapters = {
  matmul,
  mm: matmul,
  bmm: matmul,
  einsum: (inputs, params) => t.einsum(params.text('equation'), ...inputs.all()),
  linear: (inputs, params) => {
    params.states('weight_layout', '[out, in]');
    return t.linear(inputs.get('input', 'x'), inputs.get('weight'), inputs.optional('bias'));
  },
  conv2d: (inputs, params) => conv2d(inputs.get('x', 'input'), inputs, params),
  conv_transpose2d: (inputs, params) =>
    t.convTranspose2d(inputs.get('x', 'input'), inputs.get('weight'), {
      ...convOptions(inputs, params, '[in, out/groups, kh, kw]'),
      outputPadding: params.pair('output_padding', 0),
    }),
  group_norm: (inputs, params) =>
    t.groupNorm(inputs.get('x'), params.integer(params.either('num_groups', 'groups')), {
      weight: inputs.optional('weight'),
      bias: inputs.optional('bias'),
      eps: params.number('eps', 1e-5),
    }),
  layer_norm: (inputs, params) => {
    const x = inputs.get('x');
    const shape = params.isNumber('normalized_shape')
      ? [params.integer('normalized_shape')]
      : params.integers('normalized_shape');
    params.states('normalized_shape', x.shape.slice(-shape.length), x.shape.at(-1));
    return t.layerNorm(x, {
      weight: inputs.optional('weight'),
      bias: inputs.optional('bias'),
      eps: params.number('eps', 1e-5),
      axes: shape.length,
    });
  },
  scaled_dot_product_attention: attention,
  mse_loss: loss(t.mseLoss, 'a', 'b'),
  l1_loss: loss(t.l1Loss, 'a', 'b'),
  cross_entropy: loss(t.crossEntropy, 'x', 'target'),
  binary_cross_entropy_with_logits: loss(t.binaryCrossEntropyWithLogits, 'x', 'target'),
  '-log_sigmoid(x).mean()': unary((x) => t.mean(t.neg(t.logSigmoid(x)))),
  avg_pool2d: unary((x, params) =>
    t.avgPool2d(x, { ...poolOptions(params), countIncludePad: params.boolean('count_include_pad', true) }),
  ),
  max_pool2d: unary((x, params) => t.maxPool2d(x, poolOptions(params))),
  upsample_nearest: unary((x, params) => {
    params.states('index', 'floor(i * in / out)');
    return t.resizeNearest(x, resized(x, params));
  }),
  upsample_bilinear: unary((x, params) => {
    params.states('align_corners', false);
    return t.resizeBilinear(x, resized(x, params));
  }),
};

/** `pad(left,right,top,bottom)+conv2d`: the amounts are in the name and, as a rule, in the parameter `pad` too. */
export function layerByPattern(name: string): Adapter | undefined {
  const match = /^pad\((-?\d+(?:,\s*-?\d+)*)\)\+conv2d$/.exec(name);
  if (match === null) return undefined;
  const amounts = (match[1] as string).split(',').map(Number);
  return (inputs, params) => {
    const x = inputs.get('x', 'input');
    params.states('pad', amounts);
    params.states('pad_order', 'left,right,top,bottom');
    return conv2d(t.pad(x, padPairs(x.rank, amounts), params.number('value', 0)), inputs, params);
  };
}

/**
 * Immutable, lazy tensors. Operators build a graph and run nothing; `realize` and `read` run it.
 *
 *   tensor, dtype, shape   a tensor, its dtype and its shape
 *   primitives             the nodes that executors evaluate and autograd differentiates
 *   ops/                   the operators, composed of primitives
 *   evaluate, device       running a graph; reference/ is the executor that defines the right result
 *   random                 random tensors from explicit keys
 *   safetensors/           reading and writing files
 */
import './methods.ts';

export {
  arange,
  eye,
  full,
  linspace,
  type Nested,
  ones,
  type TensorOptions,
  type TypedArray,
  tensor,
  zeros,
} from './creation.ts';
export type { Device, DeviceBuffer, KernelReport, MemoryUse, PlanReport, Run } from './device.ts';
export {
  byteSize,
  type DType,
  dtypes,
  type FloatDType,
  isFloat,
  isHalf,
  isInteger,
  type StorageArray,
  type ValueArray,
} from './dtype.ts';
export { DisposedError, FormatError, ShapeError, TensorError } from './errors.ts';
export {
  copy,
  deviceOf,
  dispose,
  item,
  type NestedValues,
  prepare,
  type RealizeOptions,
  read,
  readStorage,
  realize,
  toNested,
} from './evaluate.ts';
export { chromeTrace, explain, formatPlan, profile } from './explain.ts';
export { inspect } from './inspect.ts';
export { type DeviceKind, type DeviceOptions, defaultDevice, openDevice, setDefaultDevice } from './openDevice.ts';
export * from './ops/activations.ts';
export * from './ops/attention.ts';
export {
  type Conv2dOptions,
  type ConvOptions,
  type ConvTranspose2dOptions,
  conv,
  conv2d,
  convTranspose2d,
  type Padding2d,
  type Pair,
} from './ops/conv.ts';
export * from './ops/einsum.ts';
export * from './ops/elementwise.ts';
export * from './ops/indexing.ts';
export * from './ops/losses.ts';
export * from './ops/matmul.ts';
export * from './ops/movement.ts';
export * from './ops/norms.ts';
export { broadcastTo, cast, iota, type Operand } from './ops/operands.ts';
export * from './ops/reductions.ts';
export * from './ops/spatial.ts';
export { stopGradient } from './ops/stopGradient.ts';
export type { AttentionAttributes, Attributes, ConvAttributes, CustomCall, Node, Primitive } from './primitives.ts';
export { printable } from './printable.ts';
export * as random from './random.ts';
export { key } from './random.ts';
export { threefry } from './reference/threefry.ts';
export * from './safetensors/index.ts';
export { broadcastShapes, formatShape, type Shape, sameShape, sizeOf } from './shape.ts';
export { describe, inputsOf, Tensor, typeOf } from './tensor.ts';
export { flattenTree, mapTree, replaceLeaves, treeLeaves, zipTrees } from './tree.ts';

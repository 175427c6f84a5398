import { type Code, float32Bytes, float64Bytes, signed, unsigned } from './encoding.ts';

/**
 * WebAssembly instructions as expressions: `i32.add(a, b)` is the code of a, the code of b, and the opcode. Names are
 * those of the specification in camel case. Expressions are branded by type, so TypeScript refuses to add an address to a
 * vector.
 */
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

declare const type: unique symbol;
export type Expression<T extends ValueType> = Code & { readonly [type]?: T };
export type I32 = Expression<'i32'>;
export type F32 = Expression<'f32'>;
export type F64 = Expression<'f64'>;
export type V128 = Expression<'v128'>;

/** Code that leaves the stack as it was. */
export type Statement = Code;

const plain = (opcode: number): Code => opcode;
/** Vector opcodes follow the prefix 0xfd as LEB128. */
const vectorOp = (opcode: number): Code => [0xfd, unsigned(opcode)];
/** Saturating conversions and bulk memory follow the prefix 0xfc. */
const prefixed = (opcode: number): Code => [0xfc, unsigned(opcode)];

const one =
  <A extends ValueType, R extends ValueType>(opcode: Code) =>
  (a: Expression<A>): Expression<R> => [a, opcode];
const two =
  <A extends ValueType, R extends ValueType>(opcode: Code) =>
  (a: Expression<A>, b: Expression<A>): Expression<R> => [a, b, opcode];
const three =
  (opcode: Code) =>
  (a: V128, b: V128, c: V128): V128 => [a, b, c, opcode];
const shift =
  (opcode: Code) =>
  (a: V128, by: I32): V128 => [a, by, opcode];

/** Memory operand: alignment hint 0 (any), and the constant offset added to the address. */
const memory = (offset: number): Code => [0, unsigned(offset)];
const load =
  <R extends ValueType>(opcode: Code) =>
  (address: I32, offset = 0): Expression<R> => [address, opcode, memory(offset)];
const store =
  <A extends ValueType>(opcode: Code) =>
  (address: I32, value: Expression<A>, offset = 0): Statement => [address, value, opcode, memory(offset)];
const lane =
  <R extends ValueType>(opcode: Code) =>
  (a: V128, index: number): Expression<R> => [a, opcode, index];

export const i32 = {
  const: (value: number): I32 => [0x41, signed(value)],
  add: two<'i32', 'i32'>(plain(0x6a)),
  sub: two<'i32', 'i32'>(plain(0x6b)),
  mul: two<'i32', 'i32'>(plain(0x6c)),
  divS: two<'i32', 'i32'>(plain(0x6d)),
  divU: two<'i32', 'i32'>(plain(0x6e)),
  remU: two<'i32', 'i32'>(plain(0x70)),
  and: two<'i32', 'i32'>(plain(0x71)),
  or: two<'i32', 'i32'>(plain(0x72)),
  xor: two<'i32', 'i32'>(plain(0x73)),
  shl: two<'i32', 'i32'>(plain(0x74)),
  shrS: two<'i32', 'i32'>(plain(0x75)),
  shrU: two<'i32', 'i32'>(plain(0x76)),
  rotl: two<'i32', 'i32'>(plain(0x77)),
  eqz: one<'i32', 'i32'>(plain(0x45)),
  eq: two<'i32', 'i32'>(plain(0x46)),
  ne: two<'i32', 'i32'>(plain(0x47)),
  ltS: two<'i32', 'i32'>(plain(0x48)),
  ltU: two<'i32', 'i32'>(plain(0x49)),
  gtS: two<'i32', 'i32'>(plain(0x4a)),
  gtU: two<'i32', 'i32'>(plain(0x4b)),
  leS: two<'i32', 'i32'>(plain(0x4c)),
  leU: two<'i32', 'i32'>(plain(0x4d)),
  geS: two<'i32', 'i32'>(plain(0x4e)),
  geU: two<'i32', 'i32'>(plain(0x4f)),
  load: load<'i32'>(0x28),
  load8U: load<'i32'>(0x2d),
  load16U: load<'i32'>(0x2f),
  store: store<'i32'>(0x36),
  store8: store<'i32'>(0x3a),
  store16: store<'i32'>(0x3b),
  truncSatF32S: one<'f32', 'i32'>(prefixed(0)),
  truncSatF32U: one<'f32', 'i32'>(prefixed(1)),
  truncSatF64S: one<'f64', 'i32'>(prefixed(2)),
  truncSatF64U: one<'f64', 'i32'>(prefixed(3)),
  reinterpretF32: one<'f32', 'i32'>(plain(0xbc)),
  atomicLoad: (address: I32, offset = 0): I32 => [address, 0xfe, 0x10, 2, unsigned(offset)],
  atomicStore: (address: I32, value: I32, offset = 0): Statement => [address, value, 0xfe, 0x17, 2, unsigned(offset)],
  /** Adds to the word; returns its old value. */
  atomicAdd: (address: I32, value: I32, offset = 0): I32 => [address, value, 0xfe, 0x1e, 2, unsigned(offset)],
};

export const f32 = {
  const: (value: number): F32 => [0x43, float32Bytes(value)],
  load: load<'f32'>(0x2a),
  store: store<'f32'>(0x38),
  abs: one<'f32', 'f32'>(plain(0x8b)),
  neg: one<'f32', 'f32'>(plain(0x8c)),
  floor: one<'f32', 'f32'>(plain(0x8e)),
  sqrt: one<'f32', 'f32'>(plain(0x91)),
  add: two<'f32', 'f32'>(plain(0x92)),
  sub: two<'f32', 'f32'>(plain(0x93)),
  mul: two<'f32', 'f32'>(plain(0x94)),
  div: two<'f32', 'f32'>(plain(0x95)),
  min: two<'f32', 'f32'>(plain(0x96)),
  max: two<'f32', 'f32'>(plain(0x97)),
  eq: two<'f32', 'i32'>(plain(0x5b)),
  lt: two<'f32', 'i32'>(plain(0x5d)),
  convertI32S: one<'i32', 'f32'>(plain(0xb2)),
  convertI32U: one<'i32', 'f32'>(plain(0xb3)),
  demoteF64: one<'f64', 'f32'>(plain(0xb6)),
  reinterpretI32: one<'i32', 'f32'>(plain(0xbe)),
};

export const f64 = {
  const: (value: number): F64 => [0x44, float64Bytes(value)],
  load: load<'f64'>(0x2b),
  store: store<'f64'>(0x39),
  abs: one<'f64', 'f64'>(plain(0x99)),
  neg: one<'f64', 'f64'>(plain(0x9a)),
  floor: one<'f64', 'f64'>(plain(0x9c)),
  sqrt: one<'f64', 'f64'>(plain(0x9f)),
  add: two<'f64', 'f64'>(plain(0xa0)),
  sub: two<'f64', 'f64'>(plain(0xa1)),
  mul: two<'f64', 'f64'>(plain(0xa2)),
  div: two<'f64', 'f64'>(plain(0xa3)),
  min: two<'f64', 'f64'>(plain(0xa4)),
  max: two<'f64', 'f64'>(plain(0xa5)),
  eq: two<'f64', 'i32'>(plain(0x61)),
  lt: two<'f64', 'i32'>(plain(0x63)),
  convertI32S: one<'i32', 'f64'>(plain(0xb7)),
  convertI32U: one<'i32', 'f64'>(plain(0xb8)),
  promoteF32: one<'f32', 'f64'>(plain(0xbb)),
};

export const v128 = {
  load: load<'v128'>(vectorOp(0x00)),
  load32Splat: load<'v128'>(vectorOp(0x09)),
  load64Splat: load<'v128'>(vectorOp(0x0a)),
  load32Zero: load<'v128'>(vectorOp(0x5c)),
  load64Zero: load<'v128'>(vectorOp(0x5d)),
  /** Four 16-bit words, widened to 32 bits with zeros. */
  load16x4U: load<'v128'>(vectorOp(0x04)),
  store: store<'v128'>(vectorOp(0x0b)),
  store64Lane: (address: I32, value: V128, index: number, offset = 0): Statement => [
    address,
    value,
    vectorOp(0x5b),
    memory(offset),
    index,
  ],
  store32Lane: (address: I32, value: V128, index: number, offset = 0): Statement => [
    address,
    value,
    vectorOp(0x5a),
    memory(offset),
    index,
  ],
  const: (bytes: readonly number[]): V128 => [vectorOp(0x0c), bytes],
  not: one<'v128', 'v128'>(vectorOp(0x4d)),
  and: two<'v128', 'v128'>(vectorOp(0x4e)),
  andnot: two<'v128', 'v128'>(vectorOp(0x4f)),
  or: two<'v128', 'v128'>(vectorOp(0x50)),
  xor: two<'v128', 'v128'>(vectorOp(0x51)),
  /** Bits of a where the mask is set, else bits of b. */
  bitselect: (a: V128, b: V128, mask: V128): V128 => [a, b, mask, vectorOp(0x52)],
  anyTrue: one<'v128', 'i32'>(vectorOp(0x53)),
};

export const i8x16 = {
  /** Picks 16 of the 32 bytes of a and b. */
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 => [a, b, vectorOp(0x0d), lanes],
};

export const i32x4 = {
  const: (value: number): V128 =>
    v128.const(new Array(4).fill([...new Uint8Array(Int32Array.of(value).buffer)]).flat()),
  splat: one<'i32', 'v128'>(vectorOp(0x11)),
  extractLane: lane<'i32'>(vectorOp(0x1b)),
  replaceLane: (a: V128, index: number, value: I32): V128 => [a, value, vectorOp(0x1c), index],
  eq: two<'v128', 'v128'>(vectorOp(0x37)),
  ltS: two<'v128', 'v128'>(vectorOp(0x39)),
  ltU: two<'v128', 'v128'>(vectorOp(0x3a)),
  gtS: two<'v128', 'v128'>(vectorOp(0x3b)),
  neg: one<'v128', 'v128'>(vectorOp(0xa1)),
  shl: shift(vectorOp(0xab)),
  shrS: shift(vectorOp(0xac)),
  shrU: shift(vectorOp(0xad)),
  add: two<'v128', 'v128'>(vectorOp(0xae)),
  sub: two<'v128', 'v128'>(vectorOp(0xb1)),
  mul: two<'v128', 'v128'>(vectorOp(0xb5)),
  minS: two<'v128', 'v128'>(vectorOp(0xb6)),
  minU: two<'v128', 'v128'>(vectorOp(0xb7)),
  maxS: two<'v128', 'v128'>(vectorOp(0xb8)),
  maxU: two<'v128', 'v128'>(vectorOp(0xb9)),
  allTrue: one<'v128', 'i32'>(vectorOp(0xa3)),
  truncSatF32x4S: one<'v128', 'v128'>(vectorOp(0xf8)),
  truncSatF32x4U: one<'v128', 'v128'>(vectorOp(0xf9)),
  truncSatF64x2SZero: one<'v128', 'v128'>(vectorOp(0xfc)),
  truncSatF64x2UZero: one<'v128', 'v128'>(vectorOp(0xfd)),
};

export const i64x2 = {
  const: (low: number, high: number): V128 =>
    v128.const([0, 1].flatMap(() => [...new Uint8Array(Uint32Array.of(low, high).buffer)])),
  shl: shift(vectorOp(0xcb)),
  shrU: shift(vectorOp(0xcd)),
  add: two<'v128', 'v128'>(vectorOp(0xce)),
  sub: two<'v128', 'v128'>(vectorOp(0xd1)),
};

export const f32x4 = {
  const: (value: number): V128 => v128.const([0, 1, 2, 3].flatMap(() => float32Bytes(value))),
  splat: one<'f32', 'v128'>(vectorOp(0x13)),
  extractLane: lane<'f32'>(vectorOp(0x1f)),
  eq: two<'v128', 'v128'>(vectorOp(0x41)),
  ne: two<'v128', 'v128'>(vectorOp(0x42)),
  lt: two<'v128', 'v128'>(vectorOp(0x43)),
  gt: two<'v128', 'v128'>(vectorOp(0x44)),
  le: two<'v128', 'v128'>(vectorOp(0x45)),
  ge: two<'v128', 'v128'>(vectorOp(0x46)),
  nearest: one<'v128', 'v128'>(vectorOp(0x6a)),
  floor: one<'v128', 'v128'>(vectorOp(0x68)),
  abs: one<'v128', 'v128'>(vectorOp(0xe0)),
  neg: one<'v128', 'v128'>(vectorOp(0xe1)),
  sqrt: one<'v128', 'v128'>(vectorOp(0xe3)),
  add: two<'v128', 'v128'>(vectorOp(0xe4)),
  sub: two<'v128', 'v128'>(vectorOp(0xe5)),
  mul: two<'v128', 'v128'>(vectorOp(0xe6)),
  div: two<'v128', 'v128'>(vectorOp(0xe7)),
  min: two<'v128', 'v128'>(vectorOp(0xe8)),
  max: two<'v128', 'v128'>(vectorOp(0xe9)),
  /** b < a ? b : a. One processor instruction; min needs several, for NaN and −0. */
  pmin: two<'v128', 'v128'>(vectorOp(0xea)),
  /** a < b ? b : a */
  pmax: two<'v128', 'v128'>(vectorOp(0xeb)),
  convertI32x4S: one<'v128', 'v128'>(vectorOp(0xfa)),
  convertI32x4U: one<'v128', 'v128'>(vectorOp(0xfb)),
  demoteF64x2Zero: one<'v128', 'v128'>(vectorOp(0x5e)),
  /** a·b + c, rounded once or twice, as the engine chooses (relaxed SIMD). */
  relaxedMadd: three(vectorOp(0x105)),
};

export const f64x2 = {
  const: (value: number): V128 => v128.const([0, 1].flatMap(() => float64Bytes(value))),
  splat: one<'f64', 'v128'>(vectorOp(0x14)),
  extractLane: lane<'f64'>(vectorOp(0x21)),
  replaceLane: (a: V128, index: number, value: F64): V128 => [a, value, vectorOp(0x22), index],
  eq: two<'v128', 'v128'>(vectorOp(0x47)),
  ne: two<'v128', 'v128'>(vectorOp(0x48)),
  lt: two<'v128', 'v128'>(vectorOp(0x49)),
  gt: two<'v128', 'v128'>(vectorOp(0x4a)),
  le: two<'v128', 'v128'>(vectorOp(0x4b)),
  ge: two<'v128', 'v128'>(vectorOp(0x4c)),
  nearest: one<'v128', 'v128'>(vectorOp(0x94)),
  floor: one<'v128', 'v128'>(vectorOp(0x75)),
  abs: one<'v128', 'v128'>(vectorOp(0xec)),
  neg: one<'v128', 'v128'>(vectorOp(0xed)),
  sqrt: one<'v128', 'v128'>(vectorOp(0xef)),
  add: two<'v128', 'v128'>(vectorOp(0xf0)),
  sub: two<'v128', 'v128'>(vectorOp(0xf1)),
  mul: two<'v128', 'v128'>(vectorOp(0xf2)),
  div: two<'v128', 'v128'>(vectorOp(0xf3)),
  min: two<'v128', 'v128'>(vectorOp(0xf4)),
  max: two<'v128', 'v128'>(vectorOp(0xf5)),
  pmin: two<'v128', 'v128'>(vectorOp(0xf6)),
  pmax: two<'v128', 'v128'>(vectorOp(0xf7)),
  convertLowI32x4S: one<'v128', 'v128'>(vectorOp(0xfe)),
  convertLowI32x4U: one<'v128', 'v128'>(vectorOp(0xff)),
  promoteLowF32x4: one<'v128', 'v128'>(vectorOp(0x5f)),
  /** a·b + c, rounded once or twice, as the engine chooses (relaxed SIMD). */
  relaxedMadd: three(vectorOp(0x107)),
};

export const local = {
  get: <T extends ValueType>(variable: Local<T>): Expression<T> => [0x20, unsigned(variable.index)],
  set: <T extends ValueType>(variable: Local<T>, value: Expression<T>): Statement => [
    value,
    0x21,
    unsigned(variable.index),
  ],
  tee: <T extends ValueType>(variable: Local<T>, value: Expression<T>): Expression<T> => [
    value,
    0x22,
    unsigned(variable.index),
  ],
};

/** A parameter or local variable of a function. */
export interface Local<T extends ValueType> {
  readonly type: T;
  readonly index: number;
}

const empty = 0x40;

/** a if the condition is not 0, else b; both are evaluated. */
export const select = <T extends ValueType>(a: Expression<T>, b: Expression<T>, condition: I32): Expression<T> => [
  a,
  b,
  condition,
  0x1b,
];
/** Branches out of the enclosing block number `depth` (0 is the innermost), or to the start of that loop. */
export const br = (depth: number): Statement => [0x0c, unsigned(depth)];
export const brIf = (depth: number, condition: I32): Statement => [condition, 0x0d, unsigned(depth)];
export const block = (...body: readonly Statement[]): Statement => [0x02, empty, body, 0x0b];
export const loop = (...body: readonly Statement[]): Statement => [0x03, empty, body, 0x0b];
export const when = (condition: I32, body: readonly Statement[], otherwise: readonly Statement[] = []): Statement =>
  otherwise.length === 0 ? [condition, 0x04, empty, body, 0x0b] : [condition, 0x04, empty, body, 0x05, otherwise, 0x0b];
export const returnValue = (value: Code): Statement => [value, 0x0f];
export const drop = (value: Code): Statement => [value, 0x1a];
/** A trap. */
export const unreachable: Statement = 0x00;
export const memoryFill = (address: I32, byte: I32, length: I32): Statement => [address, byte, length, 0xfc, 11, 0];
export const memoryCopy = (to: I32, from: I32, length: I32): Statement => [to, from, length, 0xfc, 10, 0, 0];

/**
 * Elementary functions as integers scaled by 2^400, to check f64 results beyond the precision of Math. Arguments are
 * moderate: no result or intermediate value here may need more than the 400 bits after the point.
 */
const fractionBits = 400n;
const one = 1n << fractionBits;

const bits = new BigUint64Array(1);
const number = new Float64Array(bits.buffer);

/** A finite f64, exactly. */
export function exactly(x: number): bigint {
  number[0] = Math.abs(x);
  const pattern = bits[0] as bigint;
  const exponent = pattern >> 52n;
  const significand = exponent === 0n ? pattern : (pattern & 0xfffffffffffffn) | 0x10000000000000n;
  const shift = fractionBits + (exponent === 0n ? 1n : exponent) - 1075n;
  const magnitude = shift >= 0n ? significand << shift : significand >> -shift;
  return x < 0 ? -magnitude : magnitude;
}

/** How far an f64 is from an exact result, in units in its last place. */
export function exactError(actual: number, exact: bigint): number {
  const magnitude = exact < 0n ? -exact : exact;
  const unit = 1n << BigInt(magnitude.toString(2).length - 53);
  const difference = exactly(actual) - exact;
  return Number((difference * 1000n) / unit) / 1000;
}

const multiply = (a: bigint, b: bigint): bigint => (a * b) >> fractionBits;
const divide = (a: bigint, b: bigint): bigint => (a << fractionBits) / b;

/** Σ of terms, each made from the one before, until they vanish. */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint, weigh = (term: bigint, _n: bigint) => term) {
  let sum = 0n;
  let term = first;
  for (let n = 0n; term !== 0n && term !== -1n; n++) {
    sum += weigh(term, n);
    term = next(term, n);
  }
  return sum;
}

function exp(x: bigint): bigint {
  const halvings = 16n;
  const small = x >> halvings;
  let result = series(one, (term, n) => multiply(term, small) / (n + 1n));
  for (let i = 0n; i < halvings; i++) result = multiply(result, result);
  return result;
}

/** By Halley's method, which triples the number of right digits, from that of Math. */
function log(x: bigint): bigint {
  let y = exactly(Math.log(Number(x >> (fractionBits - 60n)) / 2 ** 60));
  for (let i = 0; i < 3; i++) {
    const e = exp(y);
    y += divide(2n * (x - e), x + e);
  }
  return y;
}

const inverseTangent = (n: bigint): bigint =>
  series(
    one / n,
    (term) => -term / (n * n),
    (term, i) => term / (2n * i + 1n),
  );
const pi = 4n * (4n * inverseTangent(5n) - inverseTangent(239n));

const reduced = (x: bigint): bigint => x % (2n * pi);
const alternating = (x: bigint, first: bigint, offset: bigint): bigint =>
  series(first, (term, n) => -multiply(multiply(term, x), x) / ((2n * n + 1n + offset) * (2n * n + 2n + offset)));

const sin = (x: bigint): bigint => alternating(reduced(x), reduced(x), 1n);
const cos = (x: bigint): bigint => alternating(reduced(x), one, 0n);
const expm1 = (x: bigint): bigint => exp(x) - one;
const log1p = (x: bigint): bigint => log(one + x);
const sigmoid = (x: bigint): bigint => divide(one, one + exp(-x));
const softplus = (x: bigint): bigint => log1p(exp(x));

function tanh(x: bigint): bigint {
  const e = exp(2n * x);
  return divide(e - one, e + one);
}

function squareRoot(x: bigint): bigint {
  const scaled = x << fractionBits;
  let root = 1n << ((BigInt(scaled.toString(2).length) + 1n) / 2n);
  for (;;) {
    const next = (root + scaled / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** 2/√π · Σ (−1)ⁿ·x^(2n + 1) / (n!·(2n + 1)) */
function erf(x: bigint): bigint {
  const square = multiply(x, x);
  const sum = series(
    x,
    (term, n) => -multiply(term, square) / (n + 1n),
    (term, n) => term / (2n * n + 1n),
  );
  return divide(2n * sum, squareRoot(pi));
}

/** Of an argument scaled by 2^400. */
export const exactMath = { exp, expm1, log, log1p, tanh, sigmoid, softplus, erf, sin, cos };
export const exactPow = (a: bigint, b: bigint): bigint => exp(multiply(b, log(a)));

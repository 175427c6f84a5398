/** Logarithms and powers in f32; see tensor/wasm/math for the derivations. */
export const logarithms = {
  // x = 2^k · (1 + f) with 1 + f in [√½, √2], for normal x above 0: (k, f).
  splitExponent: `fn splitExponent(x: f32) -> vec2f {
  let counted = bitcast<u32>(x) + (0x3f800000u - 0x3f3504f3u);
  let mantissa = bitcast<f32>((counted & 0x7fffffu) + 0x3f3504f3u);
  return vec2f(f32(i32(counted >> 23u) - 127), mantissa - 1f);
}`,
  // k·ln 2 + log(1 + f), added up from the smallest part to the largest.
  logarithmSum: `fn logarithmSum(k: f32, f: f32) -> f32 {
  let square = f * f;
  let tail = 0.142017588f + f * (-0.131601825f + f * (0.12761575f + f * -0.0763449445f));
  let cubic = 0.333333313f + f * (-0.250008196f + f * (0.200012267f + f * (-0.166233569f + f * tail)));
  return (((square * f * cubic + k * 1.42860682e-6f) - square * 0.5f) + f) + k * 0.693145752f;
}`,
  logarithm: `fn logarithm(x: f32) -> f32 {
  let lift = x < 1.17549435e-38f;
  let parts = splitExponent(select(x, x * 8388608f, lift));
  let result = logarithmSum(parts.x - select(0f, 23f, lift), parts.y);
  if (x == 0f) { return NEGATIVE_INFINITY; }
  if (x < 0f) { return NOT_A_NUMBER; }
  return select(x, result, x <= 3.4028234e38f);
}`,
  // log(1 + x) for x > −1: with 2^k from the rounded sum, f = 2^−k·x − (1 − 2^−k) has hardly an error.
  logarithmNearOne: `fn logarithmNearOne(x: f32) -> f32 {
  let k = splitExponent(x + 1f).x;
  let exponent = u32(i32(k)) << 23u;
  let power = max(bitcast<f32>(0x3f800000u - exponent), 0f);
  let scaled = select(bitcast<f32>(bitcast<u32>(x) - exponent), 0f, x == 0f);
  return logarithmSum(k, scaled - (1f - power));
}`,
  logarithmPlusOne: `fn logarithmPlusOne(x: f32) -> f32 {
  if (x == -1f) { return NEGATIVE_INFINITY; }
  if (x < -1f) { return NOT_A_NUMBER; }
  return select(x, withSign(logarithmNearOne(x), x), x <= 3.4028234e38f);
}`,
  softPlus: `fn softPlus(x: f32) -> f32 {
  return logarithmNearOne(exponential(-abs(x))) + max(x, 0f);
}`,
  // The upper 12 bits of the significand: products of two such numbers are exact.
  upperBits: `fn upperBits(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}`,
  // a·b as a rounded product and its error (Dekker 1971).
  exactProduct: `fn exactProduct(a: f32, b: f32) -> vec2f {
  let p = solid(a * b);
  let ah = upperBits(a);
  let bh = upperBits(b);
  let al = a - ah;
  let bl = b - bh;
  return vec2f(p, ((ah * bh - p) + ah * bl + al * bh) + al * bl);
}`,
  // log₂ a of a normal a above 0 as a sum of two numbers, good to about 2^−31 of itself.
  binaryLogarithm: `fn binaryLogarithm(a: f32) -> vec2f {
  let parts = splitExponent(a);
  let f = parts.y;
  // s = f / (2 + f), and what its rounding and that of the sum lost.
  let sum = solid(f + 2f);
  let sumLow = f - solid(sum - 2f);
  let s = solid(f / sum);
  let product = exactProduct(s, sum);
  let sLow = (((f - product.x) - product.y) - s * sumLow) / sum;
  // log(1 + f) = 2·(s + s³·R(s²)).
  let z = s * s;
  let curve = s * z * (0.333333333f + z * (0.2f + z * (0.142857143f + z * 0.112f)));
  let t = solid(s + curve);
  let tLow = (curve - solid(t - s)) + sLow;
  // Times 2 / ln 2 = 2.885390043258667 + 3.8519e-8.
  let scaled = exactProduct(t, 2.885390043258667f);
  let low = scaled.y + (t * 3.851925e-8f + tLow * 2.88539004f);
  let high = solid(parts.x + scaled.x);
  let shown = solid(high - parts.x);
  let lost = (parts.x - solid(high - shown)) + (scaled.x - shown);
  return vec2f(high, lost + low);
}`,
  // a^b for a above 0 and finite.
  positivePower: `fn positivePower(a: f32, b: f32) -> f32 {
  let lift = a < 1.17549435e-38f;
  var log = binaryLogarithm(select(a, a * 8388608f, lift));
  if (lift) { log.x -= 23f; }
  let rough = b * log.x;
  if (rough > 129f) { return INFINITY; }
  if (rough < -151f) { return 0f; }
  let product = exactProduct(b, log.x);
  let n = floor(product.x + 0.5f);
  let r = ((product.x - n) + (product.y + b * log.y)) * 0.693147181f;
  let tail = 0.5f + r * (0.166665435f + r * (0.0416662805f + r * (0.00836658385f + r * 0.00139464519f)));
  let half = i32(n) >> 1u;
  return (1f + (r + r * r * tail)) * powerOfTwo(half) * powerOfTwo(i32(n) - half);
}`,
  power: `fn power(a: f32, b: f32) -> f32 {
  if (b == 0f || a == 1f) { return 1f; }
  let magnitude = abs(a);
  let isWhole = floor(b) == b;
  let isOdd = isWhole && floor(b * 0.5f) * 2f != b;
  var result: f32;
  if (magnitude == 0f || magnitude > 3.4028234e38f || abs(b) > 3.4028234e38f) {
    if (magnitude == 1f) { return 1f; }
    result = select(0f, INFINITY, (magnitude > 1f) == (b > 0f));
  } else {
    result = positivePower(magnitude, b);
  }
  if (a < 0f && !isWhole && magnitude <= 3.4028234e38f) { return NOT_A_NUMBER; }
  return select(result, withSign(result, a), isOdd);
}`,
} as const;

/** Bits, halves, sums and conversions. */
export const bits = {
  // x, in a form that no compiler looks through: rearranged sums would lose what exact ones keep.
  solid: `fn solid(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) ^ ZERO);
}`,
  // Shaders may assume that NaN and infinity never occur, so only bits tell.
  isNotANumber: `fn isNotANumber(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}`,
  isFiniteNumber: `fn isFiniteNumber(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}`,
  // A sum as a number and what its roundings lost (Knuth's exact addition, lost parts added up).
  addExactly: `fn addExactly(sum: vec2f, x: f32) -> vec2f {
  let s = solid(sum.x + x);
  let b = solid(s - sum.x);
  return vec2f(s, sum.y + ((sum.x - solid(s - b)) + (x - b)));
}`,
  joinSums: `fn joinSums(a: vec2f, b: vec2f) -> vec2f {
  let sum = addExactly(a, b.x);
  return vec2f(sum.x, sum.y + b.y);
}`,
  sumOf: `fn sumOf(sum: vec2f) -> f32 {
  return select(sum.x, sum.x + sum.y, isFiniteNumber(sum.x));
}`,
  widenBf16: `fn widenBf16(half_: u32) -> f32 {
  return bitcast<f32>(half_ << 16u);
}`,
  widenF16: `fn widenF16(half_: u32) -> f32 {
  let sign = (half_ & 0x8000u) << 16u;
  let magnitude = half_ & 0x7fffu;
  let small = bitcast<u32>(f32(magnitude) * 5.9604644775390625e-8f);
  let normal = (magnitude << 13u) + select(0x38000000u, 0x70000000u, magnitude >= 0x7c00u);
  return bitcast<f32>(select(normal, small, magnitude < 0x400u) | sign);
}`,
  // To nearest, ties to even.
  narrowBf16: `fn narrowBf16(x: f32) -> u32 {
  let word = bitcast<u32>(x);
  return select((word + 0x7fffu + ((word >> 16u) & 1u)) >> 16u, 0x7fc0u, isNotANumber(x));
}`,
  narrowF16: `fn narrowF16(x: f32) -> u32 {
  let word = bitcast<u32>(x);
  let sign = (word >> 16u) & 0x8000u;
  let magnitude = word & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  // Below 2^-14 results are multiples of 2^-24: adding ½ rounds to one.
  if (magnitude < 0x38800000u) { return sign | (bitcast<u32>(bitcast<f32>(magnitude) + 0.5f) - 0x3f000000u); }
  return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
}`,
  roundBf16: `fn roundBf16(x: f32) -> f32 {
  return widenBf16(narrowBf16(x));
}`,
  roundF16: `fn roundF16(x: f32) -> f32 {
  return widenF16(narrowF16(x));
}`,
  // Toward zero, within range; NaN becomes 0.
  toI32: `fn toI32(x: f32) -> i32 {
  if (isNotANumber(x)) { return 0; }
  return select(i32(clamp(x, -2147483648f, 2147483520f)), 2147483647, x >= 2147483648f);
}`,
  toU32: `fn toU32(x: f32) -> u32 {
  if (isNotANumber(x)) { return 0u; }
  return select(u32(clamp(x, 0f, 4294967040f)), 4294967295u, x >= 4294967296f);
}`,
  // Rounded once, which drivers do not do right above 2^31.
  fromU32: `fn fromU32(x: u32) -> f32 {
  return f32(x >> 16u) * 65536f + f32(x & 0xffffu);
}`,
  // By 0 it gives 0, and −2^31 / −1 wraps.
  divideI32: `fn divideI32(a: i32, b: i32) -> i32 {
  if (b == 0) { return 0; }
  if (b == -1) { return -a; }
  return a / b;
}`,
  divideU32: `fn divideU32(a: u32, b: u32) -> u32 {
  return select(a / max(b, 1u), 0u, b == 0u);
}`,
  // a − ⌊a/b⌋·b without error, in integers: the significand of a, doubled as often as its exponent is above that of b.
  remainderOf: `fn remainderOf(a: f32, b: f32) -> f32 {
  let signOfA = bitcast<u32>(a) & 0x80000000u;
  let signOfB = bitcast<u32>(b) & 0x80000000u;
  let x = bitcast<u32>(a) & 0x7fffffffu;
  let y = bitcast<u32>(b) & 0x7fffffffu;
  if (x >= 0x7f800000u || y > 0x7f800000u || y == 0u) { return NOT_A_NUMBER; }
  var rest = x;
  if (x >= y) {
    // Below 2^-126 numbers have the exponent 1, and no leading bit.
    let exponent = max(y >> 23u, 1u);
    let divisor = y - ((exponent - 1u) << 23u);
    var left = max(x >> 23u, 1u) - exponent;
    rest = (x - ((max(x >> 23u, 1u) - 1u) << 23u)) % divisor;
    while (left > 0u) {
      let step = min(left, 8u);
      rest = (rest << step) % divisor;
      left -= step;
    }
    if (rest > 0u) {
      let shift = min(countLeadingZeros(rest) - 8u, exponent - 1u);
      rest = (rest << shift) + ((exponent - 1u - shift) << 23u);
    }
  }
  if (rest == 0u) { return bitcast<f32>(signOfB); }
  let signed = bitcast<f32>(rest | signOfA);
  return select(signed + b, signed, signOfA == signOfB);
}`,
  // Numbers in the order of unsigned integers; NaN is the largest, and −0 is 0.
  orderOfF32: `fn orderOfF32(x: f32) -> u32 {
  let word = bitcast<u32>(x);
  if ((word & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  if (word == 0x80000000u) { return 0x80000000u; }
  return select(word | 0x80000000u, ~word, (word >> 31u) == 1u);
}`,
  threefryRounds: `fn threefryRounds(ab: vec2u, r: vec4u) -> vec2u {
  var a = ab.x;
  var b = ab.y;
  for (var i = 0u; i < 4u; i++) {
    a += b;
    b = ((b << r[i]) | (b >> (32u - r[i]))) ^ a;
  }
  return vec2u(a, b);
}`,
  // Threefry-2x32 with 20 rounds (Salmon et al. 2011).
  threefry: `fn threefry(k0: u32, k1: u32, c0: u32, c1: u32) -> vec2u {
  let k2 = k0 ^ k1 ^ 0x1bd11bdau;
  let even = vec4u(13u, 15u, 26u, 6u);
  let odd = vec4u(17u, 29u, 16u, 24u);
  var x = vec2u(c0 + k0, c1 + k1);
  x = threefryRounds(x, even) + vec2u(k1, k2 + 1u);
  x = threefryRounds(x, odd) + vec2u(k2, k0 + 2u);
  x = threefryRounds(x, even) + vec2u(k0, k1 + 3u);
  x = threefryRounds(x, odd) + vec2u(k1, k2 + 4u);
  return threefryRounds(x, even) + vec2u(k2, k0 + 5u);
}`,
} as const;

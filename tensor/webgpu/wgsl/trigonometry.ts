/** sin and cos in f32. */
export const trigonometry = {
  // The upper 32 bits of a·b.
  upperProduct: `fn upperProduct(a: u32, b: u32) -> u32 {
  let ah = a >> 16u;
  let al = a & 0xffffu;
  let bh = b >> 16u;
  let bl = b & 0xffffu;
  let low = al * bl;
  let middle = ah * bl + (low >> 16u);
  let other = al * bh + (middle & 0xffffu);
  return ah * bh + (middle >> 16u) + (other >> 16u);
}`,
  // 32 bits of 2/π, from 30 zeros and the binary point on, starting at bit \`from\`.
  bitsOfTwoOverPi: `fn bitsOfTwoOverPi(from_: u32) -> u32 {
  var words = array<u32, 9>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u);
  let word = from_ >> 5u;
  let shift = from_ & 31u;
  return select((words[word] << shift) | (words[word + 1u] >> (32u - shift)), words[word], shift == 0u);
}`,
  // |x| = n·π/2 + r with |r| ≤ π/4: (r, n mod 4). The product of the significand with 96 bits of 2/π, of which those
  // that stand for multiples of 4 are left out (Payne and Hanek 1983).
  reduceFar: `fn reduceFar(x: f32) -> vec2f {
  let bits = bitcast<u32>(x) & 0x7fffffffu;
  let m = (bits & 0x7fffffu) | 0x800000u;
  let from_ = (bits >> 23u) - 150u + 30u;
  let w0 = bitsOfTwoOverPi(from_);
  let w1 = bitsOfTwoOverPi(from_ + 32u);
  let w2 = bitsOfTwoOverPi(from_ + 64u);
  let low = m * w1;
  let middle = low + upperProduct(m, w2);
  let high = m * w0 + upperProduct(m, w1) + select(0u, 1u, middle < low);
  let fraction = (high << 2u) | (middle >> 30u);
  let turns = (high >> 30u) + (fraction >> 31u);
  let upper = bitcast<i32>(fraction & 0xffffff00u);
  let rest = f32(fraction & 0xffu) + f32((middle << 2u) >> 8u) * 5.9604645e-8f;
  return vec2f((f32(upper) + rest) * 3.6572951e-10f, f32(turns & 3u));
}`,
  reduceNear: `fn reduceNear(x: f32) -> vec2f {
  let n = floor(x * 0.636619772f + 0.5f);
  // π/2 in parts of 8, 11 and 24 bits: the first products are exact.
  let r = solid(solid(x - n * 1.5703125f) - n * 0.000483751296997f) - n * 7.54978995489e-8f;
  return vec2f(r, f32(i32(n) & 3));
}`,
  // sin of x plus so many quarter turns, for x ≥ 0.
  sineAfter: `fn sineAfter(x: f32, turn: u32) -> f32 {
  var reduced: vec2f;
  if (x < 8192f) { reduced = reduceNear(x); } else { reduced = reduceFar(x); }
  let turns = u32(reduced.y) + turn;
  let r = reduced.x;
  let z = r * r;
  let sine = r + r * z * (-0.166666552f + z * (0.00833218731f + z * -0.000195178975f));
  let cosine = (1f - z * 0.5f) + z * z * (0.0416666642f + z * (-0.00138880732f + z * 2.45080846e-5f));
  let value = select(sine, cosine, (turns & 1u) == 1u);
  return select(value, -value, (turns & 2u) == 2u);
}`,
  sine: `fn sine(x: f32) -> f32 {
  if (!isFiniteNumber(x)) { return NOT_A_NUMBER; }
  let value = sineAfter(abs(x), 0u);
  return select(value, -value, (bitcast<u32>(x) >> 31u) == 1u);
}`,
  cosine: `fn cosine(x: f32) -> f32 {
  if (!isFiniteNumber(x)) { return NOT_A_NUMBER; }
  return sineAfter(abs(x), 1u);
}`,
} as const;

/**
 * Exponentials and what is made of them, in f32. WGSL's own functions are rough, so these are polynomials of ours, with
 * the coefficients and the reasoning of the WebAssembly executor (tensor/wasm/math), but for the hyperbolic tangent.
 */
export const exponentials = {
  // 2^n for n in [-126, 127]. CPUs that run shaders shift lanes one by one, but multiply them together.
  powerOfTwo: `fn powerOfTwo(n: i32) -> f32 {
  return bitcast<f32>((n + 127) * 0x800000);
}`,
  // The sign of x on a result that is not negative, or a result with that sign already.
  withSign: `fn withSign(result: f32, x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(result) | (bitcast<u32>(x) & 0x80000000u));
}`,
  // e^x = 2^n · (1 + grown), |x − n·ln 2| ≤ ln 2 / 2: (n, grown). The tail is a minimax polynomial.
  reduceExp: `fn reduceExp(x: f32) -> vec2f {
  let n = floor(x * 1.44269504f + 0.5f);
  let first = x - n * 0.693145752f;
  let second = n * 1.42860682e-6f;
  let r = first - second;
  let tail = 0.5f + r * (0.166665435f + r * (0.0416662805f + r * (0.00836658385f + r * 0.00139464519f)));
  return vec2f(n, first + (r * r * tail - second));
}`,
  exponential: `fn exponential(x: f32) -> f32 {
  let p = reduceExp(clamp(x, -104f, 89f));
  let half = i32(floor(p.x * 0.5f));
  return (p.y + 1f) * powerOfTwo(half) * powerOfTwo(i32(p.x) - half);
}`,
  // e^x − 1 = 2·(s·(e^r − 1) + (s − ½)) with s = 2^(n − 1).
  exponentialMinusOne: `fn exponentialMinusOne(x: f32) -> f32 {
  let p = reduceExp(clamp(x, -18f, 89f));
  let scale = powerOfTwo(i32(p.x) - 1);
  let sum = scale * p.y + (scale - 0.5f);
  return withSign(sum + sum, x);
}`,
  // With s = 2^n, the n of e^2|x|, and t the tangent of what is left (|x| − n·½ln 2, at most ¼ln 2, of which t is a
  // minimax polynomial) tanh |x| = ((s − 1) + t·(s + 1)) / ((s + 1) + t·(s − 1)), which is t where s = 1. Beyond 0.625 it is
  // 1 minus the rest, whose roundings weigh less. At most 2.3 ulp.
  hyperbolicTangent: `fn hyperbolicTangent(x: f32) -> f32 {
  let a = min(abs(x), 10f);
  let n = floor(a * 2.88539008f + 0.5f);
  let h = (a - n * 0.346572876f) - n * 7.1430341e-7f;
  let z = h * h;
  let t = h + h * z * (-0.333333224f + z * (0.133311018f + z * -0.0527034923f));
  let s = powerOfTwo(i32(n));
  let far = a > 0.625f;
  let over = select((s - 1f) + t * (s + 1f), 2f * (t - 1f), far);
  return withSign(select(0f, 1f, far) + over / ((s + 1f) + t * (s - 1f)), x);
}`,
  // With e = e^−|x| and t = e / (1 + e): 1 − t above 0; below it t, which where e is small is e − e·t.
  logistic: `fn logistic(x: f32) -> f32 {
  let e = exponential(-abs(x));
  let t = e / (e + 1f);
  let start = select(1f, e, x < 0f);
  return select(start - start * t, t, x < 0f && x > -1.0625f);
}`,
  errorFunction: `fn errorFunction(x: f32) -> f32 {
  let a = abs(x);
  let z = x * x;
  let inner = -0.0268072877f + z * (0.00505770091f + z * -0.000634849595f);
  let near = x + x * (0.128379166f + z * (-0.376125902f + z * (0.11282865f + z * inner)));
  let b = min(a, 4f);
  let outer = 0.104526103f + b * (-0.0225191023f + b * (0.00311783142f + b * -0.000203665375f));
  let far = 1f - exponential(-(0.000104523417f + b * (1.12806106f + b * (0.636518776f + b * outer))));
  return select(withSign(far, x), near, a < 0.85f);
}`,
} as const;

import { clamp, random, ShapeError, type Tensor, take, tensor, typeOf, where } from '../../tensor/index.ts';

/**
 * Makes images that belong to none of a classifier's real classes from real images [N, C, H, W] (−1 to 1). Image i becomes,
 * for i mod 3 =
 * - 0, noise: s·x + n·ε, from a barely visible image (s = 0.6) to pure noise (s = 0), n = 0.4 to 1.2;
 * - 1, a blend: w·x + (1 − w)·x′ with another given image x′, w = 0.35 to 0.65;
 * - 2, washed out: g + c·(x − g) with the contrast c = 0.1 to 0.45 and a grey g = −0.2 to 1.
 *
 * The result depends only on the images and the key, and is clamped to −1 … 1.
 * @throws ShapeError if `images` is not of rank 4
 */
export function neitherImages(images: Tensor, key: Tensor): Tensor {
  if (images.rank !== 4) throw new ShapeError(`neitherImages: needs images [N, C, H, W], got ${typeOf(images)}`);
  const count = images.shape[0] as number;
  const [noiseKey, signalKey, levelKey, otherKey, shareKey, contrastKey, greyKey] = random.split(key, 7) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const draw = (from: Tensor, min: number, max: number) => random.uniform(from, [count, 1, 1, 1], { min, max });
  const noise = random.normal(noiseKey, images.shape).mul(draw(levelKey, 0.4, 1.2));
  const noisy = images.mul(draw(signalKey, 0, 0.6)).add(noise);

  // A cyclic shift by 1 to N − 1 places, so that no image is blended with itself.
  const shift = random.randint(otherKey, [], 1, Math.max(count, 2));
  const other = take(
    images,
    tensor(Int32Array.from({ length: count }, (_, i) => i))
      .add(shift)
      .remainder(count),
  );
  const blended = other.add(images.sub(other).mul(draw(shareKey, 0.35, 0.65)));

  const grey = draw(greyKey, -0.2, 1);
  const washed = grey.add(images.sub(grey).mul(draw(contrastKey, 0.1, 0.45)));

  const kind = tensor(Int32Array.from({ length: count }, (_, i) => i % 3)).reshape([count, 1, 1, 1]);
  return clamp(where(kind.equal(0), noisy, where(kind.equal(1), blended, washed)), { min: -1, max: 1 });
}

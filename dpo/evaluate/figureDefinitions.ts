/** For each figure of an evaluation, which direction is better, if either, and its definition. */
export const figureDefinitions = {
  preferredShare: [
    'higher',
    'Share of samples that a small network, the judge of kinds, classifies as the preferred kind. It was trained on real images of the preferred kind and of the other kind, and on noisy, blended and washed-out images of neither kind, which count as not preferred.',
  ],
  neitherShare: ['lower', 'Share of samples that the judge of kinds classifies as neither kind.'],
  reward: [
    'higher',
    'Mean reward of the samples: the probability of the preferred kind according to the judge of kinds, or the score of the function given as `reward`.',
  ],
  winRate: [
    'higher',
    "Share of samples for which the tuned pipeline's image has a higher reward than the base's image of the same caption and seed; ties count half.",
  ],
  captionMatch: [
    'higher',
    'Share of samples whose own caption is the nearest of several candidates; the others are drawn at random. The distance to a caption is the distance to the nearest real image with that caption, in the features of a network trained to classify real images by caption.',
  ],
  kid: [
    'lower',
    'Kernel inception distance (unbiased) to the real images of the preferred kind, in the features of the judge of kinds.',
  ],
  fid: ['lower', 'Fréchet distance to the same images in the same features as kid; biased upwards for few images.'],
  slicedWasserstein: ['lower', 'Sliced 2-Wasserstein distance to the same images in the same features as kid.'],
  precision: ['higher', 'Share of samples within the support of the real images of the preferred kind.'],
  recall: ['higher', 'Share of real images of the preferred kind within the support of the samples.'],
  nearest: [
    undefined,
    'Mean distance of samples to the nearest image of the training and held-out pairs, in the features of the judge of kinds. It is small if the model has memorised images, as models trained on few images do.',
  ],
  implicitAccuracy: [
    'higher',
    'Share of held-out pairs that the tuned model ranks as labelled, comparing its errors with those of the base. It is the mean over draws of noise and of the time steps used in training; the interval is that of a share of as many pairs.',
  ],
  implicitAccuracyEverywhere: ['higher', 'Implicit accuracy with draws from all time steps.'],
  classifierAccuracy: [
    'higher',
    'Share of held-out images that the judge of kinds classifies correctly: real images, and images of neither kind made from them.',
  ],
  klEstimate: [
    'lower',
    'Divergence of the tuned model from the base, in nats for each image, both without guidance: an upper bound of the Kullback–Leibler divergence, estimated on samples.',
  ],
} as const satisfies Readonly<Record<string, readonly ['higher' | 'lower' | undefined, string]>>;

/** What each figure of an evaluation means, and which way is better. */
export const figureDefinitions = {
  preferredShare: [
    'higher',
    'Share of samples that a small network calls images of the preferred kind. It was trained on real images of the preferred and the other kind, and on noise, blends and washed-out images, which are neither and count as not preferred.',
  ],
  neitherShare: ['lower', 'Share of samples that this network calls neither.'],
  reward: [
    'higher',
    'Mean reward of samples: the probability that this network gives to the preferred kind, or what the function says that was given as `reward`.',
  ],
  winRate: [
    'higher',
    "How often the tuned pipeline's image of a caption and seed has the higher reward; ties count half.",
  ],
  captionMatch: [
    'higher',
    'Share of samples to which, among the real images of their own caption and of others drawn at random, those of their own are nearest, in the features of a network that was trained to tell captions of real images apart.',
  ],
  kid: [
    'lower',
    'Kernel inception distance to the real images of the preferred kind, in the features of the first network; without bias.',
  ],
  fid: ['lower', 'Fréchet distance to them; biased upwards for few images.'],
  slicedWasserstein: ['lower', 'Sliced 2-Wasserstein distance to them.'],
  precision: ['higher', 'Share of samples within the support of these real images.'],
  recall: ['higher', 'Share of these real images within the support of the samples.'],
  nearest: [
    undefined,
    'Mean distance of samples to the nearest image of the training and held-out pairs, in the features of the first network: small where images were memorised, which models of few images do.',
  ],
  implicitAccuracy: [
    'higher',
    'Share of held-out pairs that the tuned model ranks as labelled by its errors against those of the base, the mean over draws of noise and of the time steps that it was trained at. With the interval of a share of as many pairs.',
  ],
  implicitAccuracyEverywhere: ['higher', 'The same over all time steps.'],
  classifierAccuracy: [
    'higher',
    'Share of held-out real images, and of images that are neither, that the first network puts into the right class.',
  ],
  klEstimate: [
    'lower',
    'How far the tuned model has moved from the base, in nats for each image, both without guidance: an upper bound of the Kullback–Leibler divergence, estimated on samples.',
  ],
} as const satisfies Readonly<Record<string, readonly ['higher' | 'lower' | undefined, string]>>;

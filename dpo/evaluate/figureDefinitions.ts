/** What each figure of an evaluation means, and which way is better. */
export const figureDefinitions = {
  preferredShare: [
    'higher',
    'Share of samples that a small network calls pictures of the preferred kind. It was trained on real pictures of the preferred and the other kind, and on noise, blends and washed-out pictures, which are neither and count as not preferred.',
  ],
  neitherShare: ['lower', 'Share of samples that this network calls neither.'],
  reward: [
    'higher',
    'Mean reward of samples: the probability that this network gives to the preferred kind, or what the function says that was given as `reward`.',
  ],
  winRate: [
    'higher',
    "How often the tuned pipeline's picture of a caption and seed has the higher reward; ties count half.",
  ],
  captionMatch: [
    'higher',
    'Share of samples to which, among the real pictures of their own caption and of others drawn at random, those of their own are nearest, in the features of a network that was trained to tell captions of real pictures apart.',
  ],
  kid: [
    'lower',
    'Kernel inception distance to the real pictures of the preferred kind, in the features of the first network; without bias.',
  ],
  fid: ['lower', 'Fréchet distance to them; biased upwards for few pictures.'],
  slicedWasserstein: ['lower', 'Sliced 2-Wasserstein distance to them.'],
  precision: ['higher', 'Share of samples within the support of these real pictures.'],
  recall: ['higher', 'Share of these real pictures within the support of the samples.'],
  nearest: [
    undefined,
    'Mean distance of samples to the nearest picture of the training and held-out pairs, in the features of the first network: small where pictures were memorised, which models of few pictures do.',
  ],
  implicitAccuracy: [
    'higher',
    'Share of held-out pairs that the tuned model ranks as labelled by its errors against those of the base, the mean over draws of noise and of the time steps that it was trained at. With the interval of a share of as many pairs.',
  ],
  implicitAccuracyEverywhere: ['higher', 'The same over all time steps.'],
  classifierAccuracy: [
    'higher',
    'Share of held-out real pictures, and of pictures that are neither, that the first network puts into the right class.',
  ],
  klEstimate: [
    'lower',
    'How far the tuned model has moved from the base, in nats for each picture, both without guidance: an upper bound of the Kullback–Leibler divergence, estimated on samples.',
  ],
} as const satisfies Readonly<Record<string, readonly ['higher' | 'lower' | undefined, string]>>;

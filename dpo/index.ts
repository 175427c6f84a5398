/** Diffusion-DPO: fine-tuning a diffusion model on pairs of which people preferred one. */
export * from './evaluate/index.ts';
export * from './objectives/index.ts';
export { forBothSides, type NoisedPairs, noisePairs, type Pairs, pairOutput } from './train/noisedPairs.ts';
export { type CaptionedPictures, type PretrainOptions, type PretrainState, pretraining } from './train/pretrain.ts';
export { type TimestepMapName, timestepMaps } from './train/timestepMaps.ts';

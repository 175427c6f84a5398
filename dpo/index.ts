/** Diffusion-DPO: fine-tuning a diffusion model on pairs of which people preferred one. */
export * from './objectives/index.ts';

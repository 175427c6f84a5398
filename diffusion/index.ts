/** Noise schedules, samplers and the models of diffusion. */
export {};

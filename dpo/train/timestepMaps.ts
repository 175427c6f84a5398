/** Which time steps a model is trained at: uniform ones from 0 to 999, mapped as the authors' code does. */
export const timestepMaps = {
  /** All of them. */
  all: (t: number): number => t,
  /** The four that SDXL-Turbo samples at: 249, 499, 749 and 999. */
  turbo: (t: number): number => 250 * (t % 4) + 249,
  /** The refiner's, which only sees the last fifth of the way. */
  refiner: (t: number): number => t % 200,
} as const;

export type TimestepMapName = keyof typeof timestepMaps;

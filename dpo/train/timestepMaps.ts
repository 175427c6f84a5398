import { TensorError } from '../../tensor/index.ts';

/** Maps uniform time steps 0 … T − 1 to those that a model is trained at, as the authors' code does for T = 1000. */
export const timestepMaps = {
  /** All time steps. */
  all: (t: number): number => t,
  /** The four that SDXL-Turbo samples at: 249, 499, 749 and 999 of 1000. */
  turbo: (t: number, numTrainTimesteps = 1000): number => {
    const quarter = Math.floor(numTrainTimesteps / 4);
    return quarter * (t % 4) + quarter - 1;
  },
  /** Those of SDXL's refiner: the fifth with the least noise, 0 to 199 of 1000. */
  refiner: (t: number, numTrainTimesteps = 1000): number => t % Math.ceil(numTrainTimesteps / 5),
} as const;

/** A key of `timestepMaps`, the values of the setting `timesteps`. */
export type TimestepMapName = keyof typeof timestepMaps;

/**
 * The time steps to draw from, each entry equally likely: those of a map that lie in a range, both ends included.
 * @throws TensorError where the range goes beyond the schedule, or contains no time step of the map
 */
export function drawnTimesteps(
  map: TimestepMapName,
  numTrainTimesteps: number,
  range: readonly [number, number] | null = null,
): readonly number[] {
  const [first, last] = range ?? [0, numTrainTimesteps - 1];
  const has = `the schedule has the time steps 0 to ${numTrainTimesteps - 1}`;
  if (last >= numTrainTimesteps) throw new TensorError(`timestepRange is [${first}, ${last}], but ${has}`);
  const all = Array.from({ length: numTrainTimesteps }, (_, t) => timestepMaps[map](t, numTrainTimesteps));
  const drawn = all.filter((t) => t >= first && t <= last);
  if (drawn.length > 0 && all.every((t) => t >= 0)) return drawn;
  const named = [...new Set(all)].toSorted((a, b) => a - b);
  const shown = named.length > 4 ? `${named[0]} to ${named.at(-1)}` : named.join(', ');
  throw new TensorError(
    `timesteps ${map} are ${shown} where ${has}; none of them lies in timestepRange [${first}, ${last}]`,
  );
}

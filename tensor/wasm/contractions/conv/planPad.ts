import { padWords } from '../parameters.ts';
import { type ContractionCall, type ContractionDType, pointer, roundUp, storageOf, wordsOf } from '../plan.ts';
import { type AxisComponents, inputRange } from './axis.ts';

/** Elements that a unit writes. */
const unitElements = 16_384;

/** Depth, height and width of a convolution. */
export type Spatial<T> = readonly [T, T, T];

/** Images or kernels of a convolution as [N, C, D, H, W]; steps and offset in bytes. */
export interface Images {
  readonly shape: readonly [number, number, number, number, number];
  readonly steps: readonly [number, number, number, number, number];
  readonly offset: number;
}

/** The padded copy; steps in bytes. */
export interface PaddedImages {
  readonly call: ContractionCall;
  readonly bytes: number;
  readonly image: number;
  readonly channel: number;
  readonly z: number;
  readonly y: number;
  /** Offset of a position in a row; positions count from `start`. */
  readonly x: (position: number) => number;
  /** The first position that is copied, along each axis. */
  readonly start: Spatial<number>;
}

/**
 * Plans the copy of exactly those input positions that are read, with zeros in the padding. Along x, positions of one
 * residue modulo `residues` are neighbours.
 */
export function planPad(
  dtype: ContractionDType,
  images: Images,
  axes: Spatial<AxisComponents>,
  residues: number,
  place: number,
): PaddedImages {
  const { bytes, bits } = storageOf(dtype);
  const [n, c, sizeZ, sizeY, sizeX] = images.shape;
  const [fromStep0, fromStep1, fromZ, fromY, fromX] = images.steps;
  const [depths, heights, widths] = axes.map(inputRange) as unknown as Spatial<ReturnType<typeof inputRange>>;
  const perResidue = Math.ceil(widths.extent / residues);
  const rowBytes = residues * perResidue * bytes;
  const z = heights.extent * rowBytes;
  // An odd number of cache lines, so that the channels of a position fall into different sets of the cache.
  const lines = Math.ceil((depths.extent * z) / 64);
  const channel = (lines + 1 - (lines % 2)) * 64;
  const image = c * channel;
  const x = (position: number): number =>
    ((position % residues) * perResidue + Math.floor(position / residues)) * bytes;
  const rows = n * c * depths.extent * heights.extent;
  const rowsPerUnit = Math.max(1, Math.round(unitElements / Math.max(1, perResidue * residues)));
  const list = Array.from({ length: residues }, (_, r) => {
    // The positions of residue r that lie inside the source: every `residues` from `first`.
    const first = r + residues * Math.max(0, Math.ceil((-widths.start - r) / residues));
    const end = Math.min(widths.extent, sizeX - widths.start);
    const count = Math.max(0, Math.ceil((end - first) / residues));
    const before = (first - r) / residues;
    return count === 0
      ? [0, 0, 0, perResidue]
      : [(first + widths.start) * fromX, before, count, perResidue - before - count];
  });
  const words = wordsOf(
    padWords,
    {
      from: pointer('a', images.offset),
      to: pointer('scratch', place),
      size0: n,
      size1: c,
      size2: depths.extent,
      size3: heights.extent,
      fromStep0,
      fromStep1,
      toStep0: image,
      toStep1: channel,
      fromZ,
      fromY,
      toZ: z,
      toY: rowBytes,
      beforeZ: -depths.start,
      beforeY: -heights.start,
      sizeZ,
      sizeY,
      rowBytes,
      fromX: fromX * residues,
      rows,
      rowsPerUnit,
      residues,
      residueBytes: perResidue * bytes,
    },
    list.flat(),
  );
  return {
    call: { name: `pad${bits}`, units: rowBytes === 0 ? 0 : Math.ceil(rows / rowsPerUnit), words },
    bytes: roundUp(n * image, 64),
    image,
    channel,
    z,
    y: rowBytes,
    x,
    start: [depths.start, heights.start, widths.start],
  };
}

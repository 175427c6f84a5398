/** One spatial axis of a convolution. */
export interface ConvAxis {
  readonly kernel: number;
  readonly out: number;
  readonly stride: number;
  readonly before: number;
  readonly inputDilation: number;
  readonly kernelDilation: number;
}

/**
 * Those output positions that see the same taps: position r + d·q sees, at tap first + every·k, the input at
 * place + q·stride + k·dilation.
 */
export interface AxisPhase {
  readonly r: number;
  readonly positions: number;
  readonly first: number;
  readonly taps: number;
  readonly place: number;
}

export interface AxisPhases {
  /** The input dilation: how far apart the positions of one phase are. */
  readonly d: number;
  readonly every: number;
  readonly stride: number;
  readonly dilation: number;
  readonly phases: readonly AxisPhase[];
}

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));
const modulo = (a: number, b: number): number => ((a % b) + b) % b;

/**
 * Takes a dilated input apart: with input dilation d, output positions of one residue modulo d only ever meet taps of
 * one residue, and together they are a convolution of the input as it is. Without dilation there is one phase.
 */
export function axisPhases(axis: ConvAxis): AxisPhases {
  const { kernel, out, stride, before, inputDilation: d, kernelDilation } = axis;
  const every = d / commonDivisor(kernelDilation, d);
  const phases = Array.from({ length: Math.min(d, out) }, (_, r): AxisPhase => {
    let first = 0;
    while (first < every && modulo(r * stride + first * kernelDilation - before, d) !== 0) first++;
    const taps = first < every ? Math.max(0, Math.ceil((kernel - first) / every)) : 0;
    return {
      r,
      positions: Math.ceil((out - r) / d),
      first,
      taps,
      place: taps === 0 ? 0 : (r * stride + first * kernelDilation - before) / d,
    };
  });
  return { d, every, stride, dilation: (every * kernelDilation) / d, phases };
}

/** The first input position that any phase sees, and how many from there to the last. */
export function seen({ phases, stride, dilation }: AxisPhases): { readonly start: number; readonly extent: number } {
  const seeing = phases.filter(({ taps }) => taps > 0);
  if (seeing.length === 0) return { start: 0, extent: 0 };
  const start = Math.min(...seeing.map(({ place }) => place));
  const end = Math.max(
    ...seeing.map(({ place, positions, taps }) => place + (positions - 1) * stride + (taps - 1) * dilation),
  );
  return { start, extent: end - start + 1 };
}

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
 * A component of the axis: the output positions r + d·q, which all meet the taps first + every·k. There position q meets
 * the input at place + q·stride + k·dilation.
 */
export interface AxisComponent {
  readonly r: number;
  /** Number of positions q. */
  readonly positions: number;
  readonly first: number;
  /** Number of taps k. */
  readonly taps: number;
  readonly place: number;
}

/** The polyphase decomposition of an axis. */
export interface AxisComponents {
  /** The input dilation, which is also the distance between the positions of a component. */
  readonly d: number;
  readonly every: number;
  readonly stride: number;
  readonly dilation: number;
  readonly components: readonly AxisComponent[];
}

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));
const modulo = (a: number, b: number): number => ((a % b) + b) % b;

/**
 * Decomposes a dilated input. With input dilation d, output positions of one residue modulo d meet only taps of one
 * residue; each residue is a convolution of the input without dilation. Without input dilation there is one component.
 */
export function axisComponents(axis: ConvAxis): AxisComponents {
  const { kernel, out, stride, before, inputDilation: d, kernelDilation } = axis;
  const every = d / commonDivisor(kernelDilation, d);
  const components = Array.from({ length: Math.min(d, out) }, (_, r): AxisComponent => {
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
  return { d, every, stride, dilation: (every * kernelDilation) / d, components };
}

/** The range of input positions that any component reads. */
export function inputRange({ components, stride, dilation }: AxisComponents): {
  readonly start: number;
  readonly extent: number;
} {
  const reading = components.filter(({ taps }) => taps > 0);
  if (reading.length === 0) return { start: 0, extent: 0 };
  const start = Math.min(...reading.map(({ place }) => place));
  const end = Math.max(
    ...reading.map(({ place, positions, taps }) => place + (positions - 1) * stride + (taps - 1) * dilation),
  );
  return { start, extent: end - start + 1 };
}

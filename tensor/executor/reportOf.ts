import type { Value } from '../compiler/program.ts';
import type { KernelReport } from '../device.ts';
import { formatShape } from '../shape.ts';

/** A kernel as a report needs it; each value is listed once. */
interface ReportedKernel {
  readonly description: string;
  readonly reads: readonly Value[];
  readonly writes: readonly Value[];
  readonly flops: number;
}

/** The report of a kernel. `bytesOf` gives the bytes that a value takes on this device. */
export const reportOf = (
  { description, reads, writes, flops }: ReportedKernel,
  bytesOf: (value: Value) => number,
): KernelReport => ({
  description,
  writes: writes.map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`),
  bytes: [...reads, ...writes].reduce((sum, value) => sum + bytesOf(value), 0),
  flops,
});

import fc from 'fast-check';
import { checkGradients, type GradientCheckOptions } from '../../../autograd/testing/index.ts';
import type { Tensor } from '../../../tensor/index.ts';

/** A function and the tensors at which to differentiate it. */
export interface Applied {
  readonly inputs: readonly Tensor[];
  readonly f: (...inputs: Tensor[]) => unknown;
}

/** A family of functions whose gradients are checked at random points. */
export interface GradientCase {
  /** The operator, and after a colon the special case. */
  readonly name: string;
  /** Checks first and second order gradients for random parameters. */
  readonly check: (runs: number) => Promise<void>;
  readonly samples: (count: number) => Applied[];
}

export function gradientCase<P>(
  name: string,
  params: fc.Arbitrary<P>,
  make: (params: P) => Applied,
  options: GradientCheckOptions = {},
): GradientCase {
  const settings: GradientCheckOptions = { order: 2, mode: 'directions', directions: 1, ...options };
  const property = fc.asyncProperty(params, async (found) => {
    const { inputs, f } = make(found);
    await checkGradients(f, inputs as Tensor[], settings);
  });
  return {
    name,
    check: (runs) => fc.assert(property, { numRuns: runs }),
    samples: (count) => fc.sample(params, { numRuns: count, seed: 1 }).map(make),
  };
}

import fc from 'fast-check';
import type { DType } from '../../../tensor/index.ts';
import { shapes } from '../shapes.ts';
import { formatProgram, type Program, programOperators } from './program.ts';

/** Options of `programs`. */
export interface ProgramOptions {
  /**
   * Only operators that are twice differentiable at every point that a program can reach, so that its gradients can be
   * checked. Default false.
   */
  readonly smooth?: boolean;
  /** The dtypes of inputs and casts; default f64 only. Comparisons need bool among them, index operators i32. */
  readonly dtypes?: readonly DType[];
  /** Default 3. */
  readonly maxInputs?: number;
  /** Default 8. */
  readonly maxSteps?: number;
  /** The largest number of elements of a tensor; default 64. */
  readonly maxElements?: number;
  /** The smallest size of an input's axis; default 1. 0 allows empty tensors. */
  readonly minSize?: number;
  /** Only these operators (keys of `programOperators`). */
  readonly operators?: readonly string[];
}

/**
 * Random programs: inputs, and operators applied to them and to each other's results. Floats stay within magnitude 2, so
 * that nothing overflows or varies too fast for central differences. fast-check prints programs as code. Shrinks towards
 * fewer steps, simpler operators and smaller inputs.
 *
 * ```ts
 * await fc.assert(
 *   fc.asyncProperty(programs({ smooth: true }), async (program) => {
 *     await checkGradients((...inputs) => runProgram(program, inputs), programInputs(program), { order: 2 });
 *   }),
 * );
 * ```
 */
export function programs(options: ProgramOptions = {}): fc.Arbitrary<Program> {
  const { smooth = false, dtypes = ['f64'], maxInputs = 3, maxSteps = 8, maxElements = 64, minSize = 1 } = options;
  const allowed = Object.entries(programOperators)
    .filter(([name, operator]) => (options.operators ?? [name]).includes(name) && (operator.smooth || !smooth))
    .filter(([, { gives }]) => gives === undefined || dtypes.includes(gives))
    .map(([name]) => name);
  const input = fc.record({
    dtype: fc.constantFrom(...dtypes),
    shape: shapes({ maxRank: 4, minSize, maxSize: 5, maxElements: Math.min(maxElements, 30) }),
    values: fc.array(fc.integer({ min: -16, max: 16 }), { minLength: 1, maxLength: 16 }),
  });
  const step = fc.record({
    operator: fc.constantFrom(...allowed),
    picks: fc.array(fc.nat({ max: 30 }), { maxLength: 14, size: 'max' }),
  });
  return fc
    .record({
      inputs: fc.array(input, { minLength: 1, maxLength: maxInputs }),
      steps: fc.array(step, { maxLength: maxSteps, size: 'max' }),
    })
    .map((parts) => {
      const program: Program = { ...parts, maxElements, dtypes };
      return Object.defineProperty(program, fc.toStringMethod, { value: () => `\n${formatProgram(program)}\n` });
    });
}

import fc from 'fast-check';
import type { DType } from '../../../tensor/index.ts';
import { shapes } from '../shapes.ts';
import { formatProgram, type Program, programOperators } from './program.ts';

export interface ProgramOptions {
  /**
   * Only operators that are differentiable twice wherever a program can get, so that its gradients can be checked.
   * Default false.
   */
  readonly smooth?: boolean;
  /** Dtypes of inputs and casts. Default: f64 only. Comparisons need bool among them, and index operators i32. */
  readonly dtypes?: readonly DType[];
  /** Default 3. */
  readonly maxInputs?: number;
  /** Default 8. */
  readonly maxSteps?: number;
  /** The most elements of a tensor; default 64. */
  readonly maxElements?: number;
  /** The smallest size of an axis of an input; default 1, 0 allows empty tensors. */
  readonly minSize?: number;
  /** Only these operators (keys of `programOperators`). */
  readonly operators?: readonly string[];
}

/**
 * Random programs: inputs, and operators applied to them and to one another. Floats stay within magnitude 2, so that
 * nothing overflows and nothing varies faster than differences can follow. Prints as code, and shrinks towards
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

import { type DType, isFloat, type Shape, sizeOf, type Tensor, tensor, zeros } from '../../../tensor/index.ts';
import { contractionOperators } from './contractions.ts';
import { elementwiseOperators } from './elementwise.ts';
import { movementOperators } from './movement.ts';
import type { ProgramOperator } from './operator.ts';
import { reductionOperators } from './reductions.ts';
import type { Term } from './terms.ts';

/** The operators that a step can apply. Simple ones come first, so that programs shrink towards them. */
export const programOperators: Readonly<Record<string, ProgramOperator>> = {
  ...elementwiseOperators,
  ...reductionOperators,
  ...movementOperators,
  ...contractionOperators,
};

/** An input of a program, with example values. */
export interface ProgramInput {
  readonly dtype: DType;
  readonly shape: Shape;
  /** In eighths for floats, whole numbers for integers, their parity for bool; repeated to fill the shape. */
  readonly values: readonly number[];
}

/** One operator. `picks` choose its operands and parameters, each modulo the number of choices. */
export interface ProgramStep {
  readonly operator: string;
  readonly picks: readonly number[];
}

/**
 * A program as data. All programs are valid: a step that finds no operand, or would make too large a tensor, does
 * nothing. So every part can be left out, and counterexamples shrink well.
 */
export interface Program {
  readonly inputs: readonly ProgramInput[];
  readonly steps: readonly ProgramStep[];
  /** Results with more elements are dropped. */
  readonly maxElements: number;
  /** The dtypes of casts, comparisons (bool) and index operators (i32). */
  readonly dtypes: readonly DType[];
}

const names = (i: number): string => (i < 26 ? String.fromCharCode(97 + i) : `v${i}`);
const mostAxes = 6;

/** Runs the steps. The results that no later step uses are the program's value. */
function interpret(
  program: Program,
  inputs: readonly Tensor[],
  steps = program.steps,
): { outputs: readonly Term[]; lines: readonly string[] } {
  const made: Term[] = inputs.map((tensor, i) => ({ tensor, code: names(i) }));
  const lines: string[] = [];
  const used = new Set<Term>();
  for (const { operator, picks } of steps) {
    const known = programOperators[operator];
    if (known === undefined) continue;
    if (known.gives !== undefined && !program.dtypes.includes(known.gives)) continue;
    let next = 0;
    const pick = (count: number): number => (count > 0 ? (picks[next++] ?? 0) % count : 0);
    const taken: Term[] = [];
    const operand = (accept: (x: Tensor) => boolean): Term | undefined => {
      const candidates = made.filter(({ tensor }) => accept(tensor)).reverse();
      const term = candidates[pick(candidates.length)];
      if (term !== undefined) taken.push(term);
      return term;
    };
    const result = known.build({ operand, pick, dtypes: program.dtypes });
    if (result === undefined || result.tensor.size > program.maxElements || result.tensor.rank > mostAxes) continue;
    const name = names(made.length);
    lines.push(`const ${name} = ${result.code};`);
    for (const term of taken) used.add(term);
    made.push({ tensor: result.tensor, code: name });
  }
  const results = made.slice(inputs.length).filter((term) => !used.has(term));
  return { outputs: results.length > 0 ? results : made, lines };
}

/** The example inputs of a program as tensors. */
export const programInputs = (program: Program): Tensor[] =>
  program.inputs.map(({ dtype, shape, values }) => {
    const value = (i: number): number => {
      const whole = values[i % Math.max(1, values.length)] ?? 0;
      if (isFloat(dtype)) return whole / 8;
      return dtype === 'i32' ? whole : dtype === 'u32' ? Math.abs(whole) : Math.abs(whole) % 2;
    };
    return tensor(
      Array.from({ length: sizeOf(shape) }, (_, i) => value(i)),
      { shape, dtype },
    );
  });

/**
 * Applies a program to tensors and returns the results that no later step uses, as a graph.
 *
 * ```ts
 * const outputs = runProgram(program, programInputs(program));
 * ```
 */
export const runProgram = (program: Program, inputs: readonly Tensor[]): Tensor[] =>
  interpret(program, inputs).outputs.map(({ tensor }) => tensor);

/** A program as code, up to the step that throws, if one does. */
export function formatProgram(program: Program): string {
  const made = program.inputs.map(({ shape, dtype, values }, i) => {
    const unit = isFloat(dtype) ? 'eighths' : 'numbers';
    return `const ${names(i)} = /* ${dtype}[${shape.join(', ')}] of ${unit} */ [${values.join(', ')}];`;
  });
  const blanks = program.inputs.map(({ shape, dtype }) => zeros(shape, { dtype }));
  for (let count = program.steps.length; ; count--) {
    try {
      const { outputs, lines } = interpret(program, blanks, program.steps.slice(0, count));
      const next = program.steps[count];
      const end = next === undefined ? [] : [`// ${next.operator} with picks [${next.picks.join(', ')}] throws`];
      return [...made, ...lines, ...end, `return [${outputs.map(({ code }) => code).join(', ')}];`].join('\n');
    } catch (error) {
      if (count === 0) throw error;
    }
  }
}

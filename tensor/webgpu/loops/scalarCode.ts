import type { Condition, Scalar } from '../../compiler/kernel.ts';
import type { Position, Quotient, Variable } from '../../compiler/position.ts';
import type { Value } from '../../compiler/program.ts';
import { partsOf } from '../../compiler/scalars.ts';
import { ComputedScalars } from '../../executor/computedScalars.ts';
import { applyCode, castCode } from '../wgsl/apply.ts';
import { literal, report, type Shader, typeOf } from '../wgsl/shader.ts';

/**
 * What the code of a kernel refers to. Shares only its outline with the file of the same name in `wasm`: this one emits WGSL,
 * that one instructions on vectors.
 */
export interface KernelContext {
  readonly shader: Shader;
  /** The names of loops, i32 variables. */
  readonly loops: ReadonlyMap<Variable, string>;
  /** The name of what an earlier stage made at this place. */
  stage(stage: number): string;
  /** The number of a gather in the report, from 0. */
  reportNumber(gather: Value): number;
}

/** Scalars that have names in WGSL. */
export class Computed extends ComputedScalars<string> {}

type Loops = Pick<KernelContext, 'loops'>;

/** The code of a position, an i32. */
export function positionCode(context: Loops, { constant, terms }: Position): string {
  const parts = terms.map(({ atom, factor }) => {
    const name = atom.kind === 'variable' ? (context.loops.get(atom) as string) : quotientCode(context, atom);
    return factor === 1 ? name : `${name} * ${factor}`;
  });
  if (constant !== 0 || parts.length === 0) parts.push(`${constant}`);
  return parts.length === 1 ? `${parts[0]}` : `(${parts.join(' + ')})`;
}

/** A position whose constant is given to the run, so that kernels that differ only in where they begin are one shader. */
export function movablePosition(context: Loops & Pick<KernelContext, 'shader'>, { constant, terms }: Position): string {
  if (constant === 0 || !Number.isFinite(constant)) return positionCode(context, { constant: 0, terms });
  const start = `bitcast<i32>(${context.shader.bits(constant >>> 0)})`;
  return terms.length === 0 ? start : `(${positionCode(context, { constant: 0, terms })} + ${start})`;
}

/** Unsigned: what a mask would exclude may be negative, but is then not used. Nor is anything divided by an empty axis. */
const quotientCode = (context: Loops, { kind, of, by }: Quotient): string =>
  `i32(u32(${positionCode(context, of)}) ${kind === 'quotient' ? '/' : '%'} ${Math.max(1, by)}u)`;

function conditionCode(context: Loops, condition: Condition): string {
  const position = positionCode(context, condition.position);
  if (condition.kind === 'multiple') return `u32(${position}) % ${condition.by}u == 0u`;
  const { low, high } = condition;
  if (low === Number.NEGATIVE_INFINITY) return `${position} <= ${high}`;
  return `u32(${position} - (${low})) <= ${high - low}u`;
}

/** Code that notes an index beyond `size`; the largest of all is reported, whatever the order. */
export const checkIndex = (
  context: Pick<KernelContext, 'shader' | 'reportNumber'>,
  value: Value,
  index: string,
  size: number,
): string => {
  const notes = context.shader.buffer(report, 'atomic');
  return `if (u32(${index}) >= ${size}u) { ${notes.atomic('Max', `${context.reportNumber(value)}`, `u32(${index})`)} }`;
};

/** Code that gives `names` the results of whichever branch the conditions choose; `branch` has the code of one. */
export function maskedCode(
  context: KernelContext,
  { conditions, inside, outside, dtype }: Extract<Scalar, { kind: 'masked' }>,
  names: readonly string[],
  branch: (part: Scalar) => { readonly code: string; readonly results: readonly string[] },
): string {
  const block = (part: Scalar): string => {
    const { code, results } = branch(part);
    return `{\n${code}${names.map((name, i) => `${name} = ${results[i]};\n`).join('')}}`;
  };
  const variables = names.map((name) => `var ${name}: ${typeOf(dtype)};\n`);
  const test = conditions.map((condition) => conditionCode(context, condition)).join(' && ');
  return `${variables.join('')}if (${test}) ${block(inside)} else ${block(outside)}\n`;
}

/** Code that gives a scalar, and what it is made of, names, which are entered into `computed`. */
export function computeScalar(context: KernelContext, scalar: Scalar, computed: Computed): string {
  if (computed.get(scalar) !== undefined) return '';
  const { shader } = context;
  const name = shader.name();
  let before = '';
  if (scalar.kind === 'masked') {
    computed.set(scalar, name);
    return maskedCode(context, scalar, [name], (part) => {
      const inner = new Computed(computed);
      return { code: computeScalar(context, part, inner), results: [inner.get(part) as string] };
    });
  }
  for (const part of partsOf(scalar)) before += computeScalar(context, part, computed);
  if (scalar.kind === 'lookup') {
    const index = computed.get(scalar.index) as string;
    const safe = shader.name();
    const place = `(${movablePosition(context, scalar.position)} + ${safe} * ${scalar.stride})`;
    const i = scalar.index.dtype === 'u32' ? `i32(${index})` : index;
    before += `${checkIndex(context, scalar.gather, i, scalar.size)}
let ${safe} = select(${i}, 0, u32(${i}) >= ${scalar.size}u);
let ${name} = ${shader.load(scalar.from, place)};\n`;
  } else {
    before += `let ${name} = ${scalarCode(context, scalar, computed)};\n`;
  }
  computed.set(scalar, name);
  return before;
}

function scalarCode(
  context: KernelContext,
  scalar: Exclude<Scalar, { kind: 'masked' | 'lookup' }>,
  computed: Computed,
): string {
  const { shader } = context;
  switch (scalar.kind) {
    case 'load':
      return shader.load(scalar.from, movablePosition(context, scalar.position));
    case 'argument':
      return shader.argument(scalar.slot, scalar.dtype);
    case 'literal':
      return literal(shader, scalar.dtype, scalar.value);
    case 'place':
      return castCode('i32', scalar.dtype, movablePosition(context, scalar.position));
    case 'apply':
      return applyCode(
        scalar,
        scalar.inputs.map((input) => computed.get(input) as string),
      );
    case 'stage':
      return context.stage(scalar.stage);
  }
}

import { vjp } from '../../../autograd/index.ts';
import { dispose, type Tensor } from '../../../tensor/index.ts';
import { boundOf, bounds } from '../bounds.ts';
import type { Comparison } from '../compare.ts';
import { messageOf, type Settings } from '../families/family.ts';
import { isObject, type JsonObject, Params } from '../params.ts';
import { compareResults, inDtype } from '../results.ts';
import { type Adapter, Inputs } from './adapter.ts';
import { findOperator } from './index.ts';

/** A case as the files give it. */
export interface OperatorCase {
  readonly name: string;
  /** Its entry in the JSON file. */
  readonly spec: JsonObject;
  /** Its tensors, by what follows the name of the case: `in.x`, `out`, `cot`, `grad.x`. */
  readonly tensors: Map<string, Tensor>;
}

const understood = ['name', 'op', 'params', 'differentiable', 'tensors', 'torch_float32_error', 'note', 'seed'];

/** Runs an operator forwards and, where inputs are differentiable, backwards, and compares all that is stored. */
export async function checkCase(
  { spec, tensors }: OperatorCase,
  settings: Settings,
): Promise<{ problems: readonly string[]; comparisons: readonly Comparison[] }> {
  const problems = Object.keys(spec)
    .filter((key) => !understood.includes(key))
    .map((key) => `'${key}' in the case is not understood`);
  const table = isObject(spec.tensors) ? spec.tensors : {};
  problems.push(...tableProblems(table, tensors));
  try {
    const adapter = typeof spec.op === 'string' ? findOperator(spec.op) : undefined;
    if (adapter === undefined) throw new Error(`the operator ${JSON.stringify(spec.op)} is not known`);
    const params = new Params(readParams(spec));
    const { results, unread } = compute(adapter, params, inOrder(tensors, table), readDifferentiable(spec), settings);
    problems.push(
      ...unread.map((name) => `the input '${name}' is not understood`),
      ...params.unread().map((name) => `the parameter '${name}' is not understood`),
      ...unmatched(results, tensors),
    );
    const boundFor = (key: string): number => {
      const row = key.startsWith('grad.') ? bounds.ops.gradient : bounds.ops.output;
      return boundOf(settings.dtype, row, float32Error(spec, key));
    };
    return { problems, comparisons: await compareResults(results, tensors, boundFor, settings) };
  } catch (error) {
    return { problems: [...problems, messageOf(error)], comparisons: [] };
  } finally {
    dispose([...tensors.values()]);
  }
}

function readParams(spec: JsonObject): JsonObject {
  if (!isObject(spec.params)) throw new Error(`'params' is ${JSON.stringify(spec.params)}, not an object`);
  return spec.params;
}

function readDifferentiable(spec: JsonObject): string[] {
  const names = spec.differentiable;
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) {
    throw new Error(`'differentiable' is ${JSON.stringify(names)}, not a list of names`);
  }
  return names;
}

/** Where the table of tensors in the JSON file and the tensors differ. */
function tableProblems(table: JsonObject, tensors: ReadonlyMap<string, Tensor>): string[] {
  const missing = Object.keys(table).filter((key) => !tensors.has(key));
  const differing = [...tensors].flatMap(([key, { shape }]) => {
    if (!Object.hasOwn(table, key)) return [`the tensor '${key}' is not in the case's table`];
    const [stored, listed] = [JSON.stringify(shape), JSON.stringify(table[key])];
    return stored === listed ? [] : [`the tensor '${key}' has shape ${stored}, the table says ${listed}`];
  });
  return [...missing.map((key) => `the tensor '${key}' is missing`), ...differing];
}

/** The tensors in the order of the table; in the file they have another. */
const inOrder = (tensors: ReadonlyMap<string, Tensor>, table: JsonObject): Map<string, Tensor> => {
  const order = Object.keys(table);
  return new Map([...tensors].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)));
};

/** The keys of outputs or cotangents: `out` alone, or `out0`, `out1`, ... */
const numbered = (kind: 'out' | 'cot', count: number, tensors: ReadonlyMap<string, Tensor>): string[] =>
  count === 1 && tensors.has(kind) ? [kind] : Array.from({ length: count }, (_, i) => `${kind}${i}`);

interface Computation {
  /** By the key of the tensor that they are to be compared with. */
  readonly results: ReadonlyMap<string, Tensor>;
  /** Inputs that the operator has not asked for. */
  readonly unread: readonly string[];
}

/** The outputs of an operator and the gradients of its differentiable inputs, as graphs that nothing has run yet. */
function compute(
  adapter: Adapter,
  params: Params,
  tensors: ReadonlyMap<string, Tensor>,
  differentiable: readonly string[],
  settings: Settings,
): Computation {
  const load = (key: string): Tensor => {
    const tensor = tensors.get(key);
    if (tensor === undefined) throw new Error(`the tensor '${key}' is missing`);
    return inDtype(tensor, settings);
  };
  const names = [...tensors.keys()].filter((key) => key.startsWith('in.')).map((key) => key.slice('in.'.length));
  const given = names.map((name) => [name, load(`in.${name}`)] as const);

  let inputs = new Inputs(new Map(given));
  const operator = (...primals: Tensor[]): Tensor[] => {
    inputs = new Inputs(new Map([...given, ...primals.map((x, i) => [differentiable[i] as string, x] as const)]));
    const result = adapter(inputs, params);
    return isList(result) ? [...result] : [result];
  };
  const primals = differentiable.map((name) => load(`in.${name}`));
  const { value, pullback } = vjp(operator, ...primals);

  const results = new Map(numbered('out', value.length, tensors).map((key, i) => [key, value[i] as Tensor]));
  if (differentiable.length > 0) {
    const gradients = pullback(numbered('cot', value.length, tensors).map(load));
    for (const [i, name] of differentiable.entries()) results.set(`grad.${name}`, gradients[i] as Tensor);
  }
  return { results, unread: inputs.unread() };
}

/** Expected tensors without a result, and results without an expected tensor. */
function unmatched(results: ReadonlyMap<string, Tensor>, tensors: ReadonlyMap<string, Tensor>): string[] {
  const expected = [...tensors.keys()].filter((key) => key.startsWith('out') || key.startsWith('grad.'));
  return [
    ...expected.filter((key) => !results.has(key)).map((key) => `nothing was computed for the tensor '${key}'`),
    ...[...results.keys()]
      .filter((key) => !tensors.has(key))
      .map((key) => `there is no tensor '${key}' to compare with`),
  ];
}

const isList = (result: Tensor | readonly Tensor[]): result is readonly Tensor[] => Array.isArray(result);

/** PyTorch's own error in float32, where the case states it. */
function float32Error(spec: JsonObject, key: string): number | undefined {
  const errors = spec.torch_float32_error;
  const entry = isObject(errors) ? errors[key] : undefined;
  const error = isObject(entry) ? entry.rel_l2 : undefined;
  return typeof error === 'number' ? error : undefined;
}

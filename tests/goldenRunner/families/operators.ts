import { openSafetensorsFile } from '../../../tensor/index.node.ts';
import type { Tensor } from '../../../tensor/index.ts';
import { checkCase, type OperatorCase } from '../operators/check.ts';
import { isObject } from '../params.ts';
import { type CaseReport, type Family, type GoldenFile, messageOf, type Settings, type UnitReport } from './family.ts';

/** Operators: a JSON file whose cases name an operator each, beside a safetensors file of the same name. */
export const operators: Family = {
  name: 'operators',
  claim: (files) =>
    files.filter(describesOperators).map((file) => {
      const tensors = file.path.replace(/\.json$/, '.safetensors');
      const hasTensors = files.some(({ path }) => path === tensors);
      return {
        files: hasTensors ? [file.path, tensors] : [file.path],
        check: (settings) => checkFile(file, hasTensors ? tensors : undefined, settings),
      };
    }),
};

const casesOf = ({ json }: GoldenFile): readonly unknown[] =>
  isObject(json) && Array.isArray(json.cases) ? json.cases : [];

const describesOperators = (file: GoldenFile): boolean =>
  casesOf(file).some((spec) => isObject(spec) && Object.hasOwn(spec, 'op'));

/** How tensors may be called within a case: `in.x`, `out`, `out1`, `cot`, `cot1`, `grad.x`. */
const tensorName = /^(?:(?:in|grad)\.[^.]+|(?:out|cot)\d*)$/;
const isGiven = /\.(?:in\.[^.]+|cot\d*)$/;

async function checkFile(file: GoldenFile, path: string | undefined, settings: Settings): Promise<UnitReport> {
  const reports: CaseReport[] = [];
  const fail = (name: string, problem: string) =>
    reports.push({ file: file.path, name, problems: [problem], comparisons: [] });

  const computed = isObject(file.json) ? file.json.computed : undefined;
  if (computed !== undefined && !(typeof computed === 'string' && computed.startsWith('float64'))) {
    fail('(file)', `'computed' is ${JSON.stringify(computed)}; bounds are known for data computed in float64 only`);
  }
  const cases = new Map<string, OperatorCase>();
  for (const [i, spec] of casesOf(file).entries()) {
    const name = isObject(spec) ? spec.name : undefined;
    if (!isObject(spec) || typeof name !== 'string') fail(`(case ${i})`, 'it has no name');
    else if (cases.has(name)) fail(name, 'another case has the same name');
    else cases.set(name, { name, spec, tensors: new Map<string, Tensor>() });
  }

  let expectedTensors = 0;
  try {
    if (path === undefined) throw new Error('there is no safetensors file of the same name');
    await using archive = await openSafetensorsFile(path);
    for (const name of archive.names) {
      const owner = ownerOf(name, cases);
      if (!isGiven.test(owner === undefined ? name : `.${owner.key}`)) expectedTensors += 1;
      if (owner === undefined) fail(name, 'this tensor belongs to no case');
      else
        await archive.read(name).then(
          (tensor) => owner.case.tensors.set(owner.key, tensor),
          (error) => fail(name, messageOf(error)),
        );
    }
  } catch (error) {
    for (const name of cases.keys()) fail(name, messageOf(error));
    return { expectedTensors, cases: reports };
  }
  for (const one of cases.values()) {
    reports.push({ file: file.path, name: one.name, ...(await checkCase(one, settings)) });
  }
  return { expectedTensors, cases: reports };
}

/** The case that a tensor belongs to, and its key there. Names of cases may contain dots: the longest that fits counts. */
function ownerOf(tensor: string, cases: ReadonlyMap<string, OperatorCase>) {
  for (let dot = tensor.lastIndexOf('.'); dot > 0; dot = tensor.lastIndexOf('.', dot - 1)) {
    const owner = cases.get(tensor.slice(0, dot));
    const key = tensor.slice(dot + 1);
    if (owner !== undefined && tensorName.test(key)) return { case: owner, key };
  }
  return undefined;
}

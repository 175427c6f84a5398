import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { saveSingleFile } from '../../../diffusion/index.node.ts';
import { loadParameters, type TextToImageParams } from '../../../diffusion/index.ts';
import { readConfigFolder } from '../../../diffusion/singleFile/configFolder.node.ts';
import { type FilePart, partReader, tensorsOf } from '../../../diffusion/singleFile/fileParts.ts';
import { isBookkeeping } from '../../../diffusion/singleFile/layouts.ts';
import { findParts } from '../../../diffusion/singleFile/openSingleFile.node.ts';
import { openSafetensorsFile } from '../../../tensor/index.node.ts';
import { dispose, flattenTree, type Tensor } from '../../../tensor/index.ts';
import { readArchive } from '../archive.ts';
import type { Comparison } from '../compare.ts';
import { fillParameters } from '../parameters.ts';
import { isObject, type JsonObject } from '../params.ts';
import { compareResults, inDtype } from '../results.ts';
import {
  type CaseReport,
  type Family,
  type GoldenFile,
  type LeftOut,
  messageOf,
  type Settings,
  type UnitReport,
} from './family.ts';

const fileName = 'model.safetensors';
const folderName = 'diffusers';

/** Checkpoints of one file in the original layout, beside the same weights as a folder of diffusers: equal both ways, bit for bit. */
export const singleFiles: Family = {
  name: 'singleFiles',
  claim: (files) =>
    files.filter(isDescription).map((io) => {
      const folder = dirname(io.path);
      const inside = join(folder, folderName) + sep;
      const own = files.filter(({ path }) => path === join(folder, fileName) || path.startsWith(inside));
      return {
        files: [io.path, ...own.map(({ path }) => path)],
        check: (settings) => checkFile(folder, io, own, settings),
      };
    }),
};

const isDescription = ({ path, json }: GoldenFile): boolean =>
  path.endsWith('io.json') && isObject(json) && 'single_file_tensors' in json;

type Tensors = ReadonlyMap<string, Tensor>;

/** A part of the file, and the folder that holds the same weights. */
interface Compared {
  readonly part: FilePart;
  readonly component: string;
  readonly weights: Tensors;
}

async function checkFile(
  folder: string,
  io: GoldenFile,
  files: readonly GoldenFile[],
  settings: Settings,
): Promise<UnitReport> {
  const path = join(folder, fileName);
  const modelConfig = join(folder, folderName);
  const weightsIn = (component: string): string[] =>
    files
      .map((file) => file.path)
      .filter((one) => dirname(one) === join(modelConfig, component) && one.endsWith('.safetensors'));
  await using file = await openSafetensorsFile(path);
  const { parts } = await findParts(file, { modelConfig });
  const textFolders = ['text_encoder', 'text_encoder_2'].filter((name) =>
    files.some((one) => one.path === join(modelConfig, name, 'config.json')),
  );
  const componentOf = (part: string): string =>
    part === 'text_encoder' ? (textFolders[0] ?? part) : part === 'text_encoder_2' ? (textFolders[1] ?? part) : part;
  const compared: Compared[] = [];
  const leftOut: LeftOut[] = [];
  for (const part of parts) {
    const component = componentOf(part.part);
    const shards = weightsIn(component);
    if (shards.length === 0) {
      leftOut.push({
        file: join(modelConfig, component),
        name: 'weights',
        reason: 'the file is not there',
        tensors: 0,
      });
      continue;
    }
    const archives = await Promise.all(shards.map(readArchive));
    compared.push({ part, component, weights: new Map(archives.flatMap((one) => [...one])) });
  }
  const spec = io.json as JsonObject;
  const cases: CaseReport[] = [namesReport(io, spec, file.names, parts)];
  let expectedTensors = 0;
  for (const { part, component, weights } of compared) {
    const loaded = await loadParameters(part.template, partReader(file, part), { device: settings.device });
    const results = new Map(flattenTree(loaded).map(({ path: name, tensor }) => [name, inDtype(tensor, settings)]));
    const comparisons = await equal(results, weights, settings);
    const problems = [...weights.keys()].filter((name) => !results.has(name)).map((name) => `'${name}' was not loaded`);
    expectedTensors += weights.size;
    dispose(loaded);
    cases.push({ file: io.path, name: component, problems, comparisons });
  }
  if (leftOut.length === 0) {
    const { report, expected } = await checkSaved(io, file.name, parts, compared, modelConfig, settings).catch(
      (error: unknown) => ({
        report: { file: io.path, name: 'saved', problems: [messageOf(error)], comparisons: [] },
        expected: 0,
      }),
    );
    cases.push(report);
    expectedTensors += expected;
  }
  dispose(compared.flatMap(({ weights }) => [...weights.values()]));
  return { expectedTensors, cases, leftOut };
}

const equal = (results: Tensors, stored: Tensors, settings: Settings): Promise<Comparison[]> =>
  compareResults(
    results,
    new Map([...stored].map(([name, x]) => [name, inDtype(x, settings)])),
    () => ({ bound: 0, absolute: true }),
    settings,
  );

/** Which of the file's tensors count, as the description has it: how many there are, and which are ignored. */
function namesReport(
  io: GoldenFile,
  spec: JsonObject,
  names: readonly string[],
  parts: readonly FilePart[],
): CaseReport {
  const used = tensorsOf(parts);
  const ignored = names.filter((name) => !used.has(name)).sort();
  const problems: string[] = [];
  if (names.length !== spec.single_file_tensors)
    problems.push(`there are ${names.length} tensors, not ${String(spec.single_file_tensors)}`);
  if (Array.isArray(spec.ignored_tensors) && ignored.join() !== [...spec.ignored_tensors].sort().join())
    problems.push(`ignored are ${ignored.join(', ')}, not ${spec.ignored_tensors.join(', ')}`);
  return { file: io.path, name: 'names', problems, comparisons: [] };
}

/** The folder's weights, saved as one file, equal those of the file that is given, except for the ignored ones. */
async function checkSaved(
  io: GoldenFile,
  original: string,
  parts: readonly FilePart[],
  compared: readonly Compared[],
  modelConfig: string,
  settings: Settings,
): Promise<{ report: CaseReport; expected: number }> {
  const { unet, texts, vae, scheduler } = await readConfigFolder(modelConfig);
  const [textEncoder, textEncoder2] = texts;
  const params = Object.fromEntries(
    compared.map(({ part, weights }) => [part.part, fillParameters(part.template, weights)]),
  ) as unknown as TextToImageParams;
  const temporary = await mkdtemp(join(tmpdir(), 'golden-single-'));
  try {
    const path = join(temporary, fileName);
    await saveSingleFile({ config: { unet, textEncoder, textEncoder2, vae }, params, scheduler }, path);
    const [saved, stored] = [await readArchive(path), await readArchive(original)];
    const expected = new Map(
      [...tensorsOf(parts).keys()].flatMap((name) => {
        const found = stored.get(name);
        return found === undefined ? [] : [[name, found] as const];
      }),
    );
    const results = new Map([...saved].map(([name, x]) => [name, inDtype(x, settings)]));
    const problems = [
      ...[...expected.keys()].filter((name) => !saved.has(name)).map((name) => `'${name}' was not saved`),
      // What is said of the network has a name alone.
      ...[...saved.keys()]
        .filter((name) => !expected.has(name) && !isBookkeeping(name))
        .map((name) => `'${name}' was saved, and is not in the file`),
    ];
    const comparisons = await equal(results, expected, settings);
    dispose([...saved.values(), ...stored.values()]);
    return { report: { file: io.path, name: 'saved', problems, comparisons }, expected: expected.size };
  } finally {
    await rm(temporary, { recursive: true });
  }
}

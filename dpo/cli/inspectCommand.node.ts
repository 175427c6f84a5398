import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { readObject } from '../../diffusion/index.node.ts';
import { configNotes } from '../../diffusion/index.ts';
import { attempt, openSafetensorsPath } from '../../tensor/index.node.ts';
import { FormatError, formatShape, sizeOf, TensorError } from '../../tensor/index.ts';
import { readRecord, recordName, settingsOfRecord } from '../train/checkpoint.node.ts';
import { printResult } from './terminal.node.ts';

/** A safetensors file, or an index with its shards. */
interface Weights {
  readonly file: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
  readonly dtypes: readonly string[];
  readonly shapes: Readonly<Record<string, string>>;
}

/** One folder with a configuration, weights or a training checkpoint. */
interface Part {
  readonly path: string;
  readonly className: string | undefined;
  /** Notes on fields of the configuration that have no effect here. */
  readonly notes: readonly string[];
  /** Messages about what cannot be read or used. */
  readonly problems: readonly string[];
  readonly weights: readonly Weights[];
  /** Set where the folder is a training checkpoint. */
  readonly checkpoint?: CheckpointFacts;
}

/** The record of a training checkpoint, without its tensors. */
interface CheckpointFacts {
  readonly step: unknown;
  readonly settings: Readonly<Record<string, unknown>>;
  /** The next pair of the data stream; only `train` has one. */
  readonly position?: unknown;
  readonly seconds?: unknown;
}

async function checkpointIn(folder: string, files: readonly string[]): Promise<CheckpointFacts | undefined> {
  if (!files.includes(recordName)) return undefined;
  const record = await readRecord(folder);
  const { step, position, seconds } = record;
  return { step, settings: settingsOfRecord({ folder, record }), position, seconds };
}

/** A training checkpoint in lines of text. */
function describeCheckpoint({ step, settings, position, seconds }: CheckpointFacts): string[] {
  const { epoch, index } = (position ?? {}) as Readonly<Record<string, unknown>>;
  const at = position === undefined ? '' : `; the data continue in epoch ${epoch} at pair ${index}`;
  const took = typeof seconds === 'number' ? `, after ${seconds.toFixed(0)} s` : '';
  const lines = Object.entries(settings).map(([name, value]) => `    ${name}: ${JSON.stringify(value)}`);
  return [`  checkpoint of step ${step} of ${settings.steps}${took}${at}`, '  settings:', ...lines];
}

async function weightsOf(path: string): Promise<Weights> {
  await using reader = await openSafetensorsPath(path);
  const dtypes = new Set<string>();
  const shapes: Record<string, string> = {};
  let [parameters, bytes] = [0, 0];
  for (const name of reader.names) {
    const { dtype, shape, byteLength } = await reader.entry(name);
    dtypes.add(dtype);
    parameters += sizeOf(shape);
    bytes += byteLength;
    shapes[name] = `${dtype} ${formatShape(shape)}`;
  }
  return { file: path, tensors: reader.names.length, parameters, bytes, dtypes: [...dtypes], shapes };
}

/** A folder's configuration and the class it names, in the formats of diffusers and transformers. */
async function configIn(folder: string, files: readonly string[]) {
  const name = ['model_index.json', 'config.json', 'scheduler_config.json', 'tokenizer_config.json'].find((file) =>
    files.includes(file),
  );
  if (name === undefined) return undefined;
  const config = await readObject(join(folder, name));
  const { _class_name, architectures, tokenizer_class } = config;
  const className = _class_name ?? (Array.isArray(architectures) ? architectures.join(', ') : tokenizer_class) ?? '';
  return { className: String(className), config };
}

/** The part that a folder is, without its subfolders. */
async function partOf(path: string, files: readonly string[]): Promise<Part> {
  const problems: string[] = [];
  const tried = async <T>(reading: () => Promise<T> | T): Promise<T | undefined> => {
    try {
      return await reading();
    } catch (error) {
      if (!(error instanceof TensorError)) throw error;
      problems.push(...error.message.split('\n'));
      return undefined;
    }
  };
  // An index is listed with its shards.
  const indices = files.filter((name) => name.endsWith('.safetensors.index.json'));
  const isShard = (name: string): boolean =>
    indices.some((index) => name.startsWith(`${index.slice(0, -'.safetensors.index.json'.length)}-`));
  const names = [...indices, ...files.filter((name) => name.endsWith('.safetensors') && !isShard(name))];
  const checkpoint = await tried(() => checkpointIn(path, files));
  const config = await tried(() => configIn(path, files));
  const notes = config && (await tried(() => configNotes(config.config)));
  const weights: Weights[] = [];
  for (const name of names) {
    const read = await tried(() => weightsOf(join(path, name)));
    if (read !== undefined) weights.push(read);
  }
  return {
    path,
    className: config?.className,
    notes: notes ?? [],
    problems,
    weights,
    ...(checkpoint && { checkpoint }),
  };
}

/** True where a folder holds anything that concerns this command. */
const isPart = ({ className, weights, problems }: Part): boolean =>
  className !== undefined || weights.length > 0 || problems.length > 0;

/** True where something in a part can be used. */
const isUsable = ({ className, weights, problems, checkpoint }: Part): boolean =>
  weights.length > 0 || checkpoint !== undefined || (className !== undefined && problems.length === 0);

/** The parts of a folder and its subfolders, or the one of a file. */
async function partsOf(path: string): Promise<Part[]> {
  const stats = await attempt('open', path, stat(path));
  if (!stats.isDirectory())
    return [{ path, className: undefined, notes: [], problems: [], weights: [await weightsOf(path)] }];
  const entries = await attempt('read', path, readdir(path, { withFileTypes: true }));
  const files: string[] = [];
  for (const entry of entries) {
    // The cache of the Hugging Face hub holds links to files.
    const isLink = entry.isSymbolicLink();
    const isFile = isLink ? (await stat(join(path, entry.name)).catch(() => undefined))?.isFile() : entry.isFile();
    if (isFile) files.push(entry.name);
  }
  const parts = [await partOf(path, files)].filter(isPart);
  for (const entry of entries.filter((one) => one.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1)))
    parts.push(...(await partsOf(join(path, entry.name))));
  return parts;
}

/** `inspect`: the contents of a folder or file; exit status 1 where nothing in it can be used. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      'List what a model folder, a training checkpoint or a safetensors file holds, without reading weights.',
    )
    .argument('<path>', 'a model folder, a training checkpoint, an output folder of a run, or a safetensors file')
    .option('--tensors', 'list every tensor')
    .option('--json', 'print as JSON')
    .action(async (path: string, { tensors, json }: { tensors?: boolean; json?: boolean }) => {
      const parts = await partsOf(path);
      if (parts.length === 0)
        throw new FormatError(`${path}: there are no configurations and no safetensors files in it`);
      if (!parts.some(isUsable)) process.exitCode = 1;
      if (json) {
        printResult(JSON.stringify(parts, null, 2));
        return;
      }
      for (const { path: place, className, notes, problems, weights, checkpoint } of parts) {
        printResult(`${place}${className ? `: ${className}` : ''}`);
        if (checkpoint !== undefined) for (const line of describeCheckpoint(checkpoint)) printResult(line);
        for (const { file, tensors: count, parameters, bytes, dtypes, shapes } of weights) {
          const size = `${(bytes / 1e6).toFixed(1)} MB`;
          printResult(
            `  ${file}: ${count} tensors, ${parameters.toLocaleString('en')} parameters, ${dtypes.join(', ')}, ${size}`,
          );
          if (tensors) for (const [name, shape] of Object.entries(shapes)) printResult(`    ${name} ${shape}`);
        }
        for (const note of [...notes, ...problems]) printResult(`  ${note}`);
      }
    });
}

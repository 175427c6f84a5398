import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { readObject } from '../../diffusion/index.node.ts';
import { configNotes } from '../../diffusion/index.ts';
import { attempt, openSafetensorsPath } from '../../tensor/index.node.ts';
import { FormatError, formatShape, sizeOf, TensorError } from '../../tensor/index.ts';
import { readRecord, recordName, settingsOfRecord } from '../train/checkpoint.node.ts';
import { tell } from './terminal.node.ts';

interface Weights {
  readonly file: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
  readonly dtypes: readonly string[];
  readonly shapes: Readonly<Record<string, string>>;
}

interface Part {
  readonly path: string;
  readonly className: string | undefined;
  /** What its configuration does without saying so. */
  readonly notes: readonly string[];
  /** What cannot be read or used of it, and why. */
  readonly problems: readonly string[];
  readonly weights: readonly Weights[];
  /** Of a folder that a run goes on from. */
  readonly checkpoint?: CheckpointFacts;
}

/** What a checkpoint says beside its tensors. */
interface CheckpointFacts {
  readonly step: unknown;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Where the data go on; of `train` alone. */
  readonly position?: unknown;
  readonly seconds?: unknown;
}

async function checkpointIn(folder: string, files: readonly string[]): Promise<CheckpointFacts | undefined> {
  if (!files.includes(recordName)) return undefined;
  const record = await readRecord(folder);
  const { step, position, seconds } = record;
  return { step, settings: settingsOfRecord({ folder, record }), position, seconds };
}

/** A checkpoint in lines for people. */
function describeCheckpoint({ step, settings, position, seconds }: CheckpointFacts): string[] {
  const { epoch, index } = (position ?? {}) as Readonly<Record<string, unknown>>;
  const at = position === undefined ? '' : `; the data go on in epoch ${epoch} at pair ${index}`;
  const took = typeof seconds === 'number' ? `, after ${seconds.toFixed(0)} s` : '';
  const told = Object.entries(settings).map(([name, value]) => `    ${name}: ${JSON.stringify(value)}`);
  return [`  checkpoint of step ${step} of ${settings.steps}${took}${at}`, '  settings:', ...told];
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

/** The class that a folder's configuration names, whoever wrote it, and what is to be said of its fields. */
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

/** What a folder holds by itself; of what cannot be read, why. */
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
  // The shards of an index are told of with it.
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

/** Whether there is anything in a part. */
const isPart = ({ className, weights, problems }: Part): boolean =>
  className !== undefined || weights.length > 0 || problems.length > 0;

/** Whether something of a part can be used. */
const isUsable = ({ className, weights, problems, checkpoint }: Part): boolean =>
  weights.length > 0 || checkpoint !== undefined || (className !== undefined && problems.length === 0);

/** The parts of a folder and of those in it, or the one file. */
async function partsOf(path: string): Promise<Part[]> {
  const stats = await attempt('open', path, stat(path));
  if (!stats.isDirectory())
    return [{ path, className: undefined, notes: [], problems: [], weights: [await weightsOf(path)] }];
  const entries = await attempt('read', path, readdir(path, { withFileTypes: true }));
  const files: string[] = [];
  for (const entry of entries) {
    // The cache of Hugging Face's hub consists of links to files.
    const isLink = entry.isSymbolicLink();
    const isFile = isLink ? (await stat(join(path, entry.name)).catch(() => undefined))?.isFile() : entry.isFile();
    if (isFile) files.push(entry.name);
  }
  const parts = [await partOf(path, files)].filter(isPart);
  for (const entry of entries.filter((one) => one.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1)))
    parts.push(...(await partsOf(join(path, entry.name))));
  return parts;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      'Tell what a folder of diffusers or transformers, a checkpoint of a run or a safetensors file holds; weights are not read.',
    )
    .argument('<path>', 'a pipeline, a model, a checkpoint, an output folder, or a file')
    .option('--tensors', 'list every tensor')
    .option('--json', 'print as JSON')
    .action(async (path: string, { tensors, json }: { tensors?: boolean; json?: boolean }) => {
      const parts = await partsOf(path);
      if (parts.length === 0)
        throw new FormatError(`${path}: there are no configurations and no safetensors files in it`);
      if (!parts.some(isUsable)) process.exitCode = 1;
      if (json) {
        tell(JSON.stringify(parts, null, 2));
        return;
      }
      for (const { path: place, className, notes, problems, weights, checkpoint } of parts) {
        tell(`${place}${className ? `: ${className}` : ''}`);
        if (checkpoint !== undefined) for (const line of describeCheckpoint(checkpoint)) tell(line);
        for (const { file, tensors: count, parameters, bytes, dtypes, shapes } of weights) {
          const size = `${(bytes / 1e6).toFixed(1)} MB`;
          tell(
            `  ${file}: ${count} tensors, ${parameters.toLocaleString('en')} parameters, ${dtypes.join(', ')}, ${size}`,
          );
          if (tensors) for (const [name, shape] of Object.entries(shapes)) tell(`    ${name} ${shape}`);
        }
        for (const note of [...notes, ...problems]) tell(`  ${note}`);
      }
    });
}

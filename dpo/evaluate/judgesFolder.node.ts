import { join } from 'node:path';
import { readObject } from '../../diffusion/index.node.ts';
import { loadParameters } from '../../diffusion/index.ts';
import { attempt, makeFolder, openSafetensorsFile, replaceText, saveSafetensors } from '../../tensor/index.node.ts';
import { FormatError, flattenTree, key, type Tensor } from '../../tensor/index.ts';
import type { Classifier } from './classifier.ts';
import { convClassifier } from './convClassifier.ts';
import type { Figure } from './figure.ts';
import type { Judges } from './judges.ts';

const names = ['kind', 'caption'] as const;
const weightsOf = (folder: string, name: string): string => join(folder, `${name}.safetensors`);

/** The tensors of a network: parameters and running statistics. */
const tensorsOf = ({ params, statistics }: Pick<Classifier, 'params' | 'statistics'>) => ({ params, statistics });

/** Writes `judges.json`, `kind.safetensors` and `caption.safetensors` into a folder. */
export async function saveJudges(folder: string, judges: Judges): Promise<void> {
  await attempt('write', folder, makeFolder(folder));
  const record: Record<string, unknown> = { accuracy: judges.accuracy };
  for (const name of names) {
    const { classes, channels, widths } = judges[name];
    record[name] = { classes, channels, widths };
    const tensors = flattenTree(tensorsOf(judges[name])).map(({ path, tensor }) => [path, tensor] as const);
    await saveSafetensors(weightsOf(folder, name), tensors);
  }
  await replaceText(join(folder, 'judges.json'), `${JSON.stringify(record)}\n`);
}

/**
 * Reads judges that `saveJudges` wrote.
 * @throws FormatError if `judges.json` lacks a network's form or the accuracy
 */
export async function loadJudges(folder: string): Promise<Judges> {
  const path = join(folder, 'judges.json');
  const record = await readObject(path);
  const load = async (name: (typeof names)[number]): Promise<Classifier> => {
    const form = record[name] as Pick<Classifier, 'classes' | 'channels' | 'widths'> | undefined;
    if (!Array.isArray(form?.classes) || !Array.isArray(form.widths) || !Number.isInteger(form.channels))
      throw new FormatError(`${path}: ${name} must be {classes, channels, widths}`);
    const { classes, channels, widths } = form;
    const network = convClassifier({ classes: classes.length, channels, widths });
    const fresh = { params: network.init(key(0) as Tensor), statistics: network.initStatistics() };
    await using reader = await openSafetensorsFile(weightsOf(folder, name));
    return { classes, channels, widths, ...(await loadParameters(fresh, reader)) };
  };
  const accuracy = record.accuracy as Partial<Figure> | undefined;
  if (![accuracy?.value, accuracy?.low, accuracy?.high].every(Number.isFinite))
    throw new FormatError(`${path}: accuracy must be {value, low, high}`);
  return { kind: await load('kind'), caption: await load('caption'), accuracy: accuracy as Figure };
}

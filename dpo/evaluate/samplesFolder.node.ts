import { join } from 'node:path';
import { attempt, makeFolder, replaceFile, replaceText } from '../../tensor/index.node.ts';
import { encodePng } from '../data/encodePng.ts';
import { imageOf } from '../data/image.ts';

/** The pipelines that samples are drawn from. */
type Pipeline = 'base' | 'tuned';

const fileOf = (pipeline: Pipeline, i: number): string => join(pipeline, `${String(i).padStart(5, '0')}.png`);

/** Writes one pipeline's samples [N, 3, height, width], from −1 to 1, as PNG files into the pipeline's subfolder. */
export async function saveSamples(
  folder: string,
  pipeline: Pipeline,
  { values, captions, size }: SavedSamples,
): Promise<void> {
  const inner = join(folder, pipeline);
  await attempt('write', inner, makeFolder(inner));
  for (const i of captions.keys())
    await replaceFile(join(folder, fileOf(pipeline, i)), (write) => write(encodePng(imageOf(values, i, size))));
}

/** Writes `samples.jsonl`: one line for each caption, with the files of both pipelines. */
export async function saveSampleList(folder: string, captions: readonly string[]): Promise<void> {
  const lines = captions.map((caption, i) =>
    JSON.stringify({ caption, base: fileOf('base', i), tuned: fileOf('tuned', i) }),
  );
  await replaceText(join(folder, 'samples.jsonl'), `${lines.join('\n')}\n`);
}

interface SavedSamples {
  readonly values: Float32Array;
  readonly captions: readonly string[];
  /** [height, width] */
  readonly size: readonly [number, number];
}

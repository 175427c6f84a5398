import { readWhole } from '../../tensor/index.node.ts';
import { decodeImage } from './decodeImage.node.ts';
import type { Image } from './image.ts';

/** The image of a file. `place` says where the file is named, if that is not the file itself. */
export async function readImage(path: string, place?: string): Promise<Image> {
  const what = place === undefined ? path : `${place}: ${path}`;
  return decodeImage(await readWhole(path, what), what);
}

import { readWhole } from '../../tensor/index.node.ts';
import { decodePicture } from './decodeImage.node.ts';
import type { Picture } from './image.ts';

/** The picture of a file. `place` says where the file is named, if that is not the file itself. */
export async function readPicture(path: string, place?: string): Promise<Picture> {
  const what = place === undefined ? path : `${place}: ${path}`;
  return decodePicture(await readWhole(path, what), what);
}

import { readWhole } from '../../tensor/index.node.ts';
import { type JsonObject, parseObject } from './json.ts';

/** The object that a JSON file on disk holds; errors are those of `readWhole` and `parseObject`. */
export const readObject = async (path: string): Promise<JsonObject> => parseObject(await readWhole(path), path);

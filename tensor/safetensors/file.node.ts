import { access, open, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FormatError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import { existingPath } from './existingPath.node.ts';
import { longestHeader } from './header.ts';
import { quote } from './message.ts';
import { openSafetensors, type SafetensorsFile, type SafetensorsReader } from './reader.ts';
import { readWhole, regularFile } from './readWhole.node.ts';
import { replaceFile } from './replaceFile.node.ts';
import { openShards, parseShardIndex } from './shards.ts';
import type { RandomAccess } from './source.ts';
import { attempt } from './systemError.node.ts';
import { type Named, type WriteOptions, writeSafetensors } from './writer.ts';

/** A file that stays open until `close`, or to the end of the scope of an `await using`. */
export interface FileAccess extends RandomAccess, AsyncDisposable {
  readonly name: string;
  close(): Promise<void>;
}

/** The largest single read; systems refuse reads of 2 GiB and more. */
const largestRead = 2 ** 30;

/**
 * Opens a file for random access.
 * @throws TensorError if the file cannot be opened; FormatError for a device, a pipe or a socket
 */
export async function fromFile(path: string): Promise<FileAccess> {
  const handle = await attempt('open', path, open(await regularFile(path, 'open'), 'r'));
  const close = () => handle.close();
  try {
    const stats = await attempt('open', path, handle.stat());
    return {
      name: path,
      size: stats.size,
      async read(offset, length, into) {
        const bytes = into ?? new Uint8Array(length);
        let done = 0;
        while (done < length) {
          const wanted = Math.min(length - done, largestRead);
          const { bytesRead } = await attempt('read', path, handle.read(bytes, done, wanted, offset + done));
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return bytes.subarray(0, done);
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Opens a `*.safetensors` file: reads and checks its header. The file stays open until the reader is closed.
 * @throws TensorError if the file cannot be opened; FormatError for an invalid header
 */
export async function openSafetensorsFile(path: string): Promise<SafetensorsFile> {
  const source = await fromFile(path);
  try {
    return await openSafetensors(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Opens the shards that a `*.safetensors.index.json` file lists. They must exist; each is opened when it is first read.
 * @throws TensorError if the index cannot be opened; FormatError for an invalid index or a missing shard
 */
export async function openSafetensorsIndex(path: string): Promise<SafetensorsReader> {
  const { size } = await attempt('open', path, stat(await regularFile(path, 'open')));
  if (size > longestHeader) throw new FormatError(`${path}: an index of ${size} bytes is too large`);
  const index = parseShardIndex(await readWhole(path), path);
  const shardPath = (fileName: string) => join(dirname(path), fileName);
  for (const fileName of new Set(index.weightMap.values())) {
    await existingPath(shardPath(fileName))
      .then(access)
      .catch((cause) => {
        throw new FormatError(`${path}: weight_map names the shard ${quote(fileName)}, which is missing`, { cause });
      });
  }
  return openShards(index, (fileName) => openSafetensorsFile(shardPath(fileName)));
}

/** Opens a sharded set if `path` ends with `.json`, else a single file. */
export const openSafetensorsPath = (path: string): Promise<SafetensorsReader> =>
  path.endsWith('.json') ? openSafetensorsIndex(path) : openSafetensorsFile(path);

/** Writes a safetensors file; see `writeSafetensors`. At any time `path` holds either the old or the new complete file. */
export const saveSafetensors = (path: string, tensors: Named<Tensor>, options: WriteOptions = {}): Promise<void> =>
  replaceFile(path, (write) => writeSafetensors({ write }, tensors, options));

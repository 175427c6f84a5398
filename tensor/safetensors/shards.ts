import { FormatError, TensorError } from '../errors.ts';
import { objectEntries, parseJson } from './json.ts';
import { quote, show } from './message.ts';
import { derivedMethods, noSuchTensor, type SafetensorsFile, type SafetensorsReader, type Through } from './reader.ts';
import { whereIs } from './source.ts';

/** The content of a `*.safetensors.index.json` file: the shard of each tensor. */
export interface ShardIndex {
  readonly name: string;
  /** As in the file; usually `total_size`, the bytes of all tensors. */
  readonly metadata: ReadonlyMap<string, unknown>;
  /** Maps names of tensors to names of files in the folder of the index. */
  readonly weightMap: ReadonlyMap<string, string>;
}

/**
 * Parses and checks an index. Shards must be plain file names, so that an index cannot point out of its folder.
 * @throws FormatError
 */
export function parseShardIndex(bytes: Uint8Array, name: string): ShardIndex {
  const wrong = (message: string) => new FormatError(`${name}: ${message}`);
  const top = objectEntries(parseJson(bytes, `${name}: the index`));
  if (top === undefined) throw wrong('the index is not a JSON object');

  const metadata = objectEntries(top.get('metadata') ?? {});
  if (metadata === undefined) throw wrong(`metadata is ${show(top.get('metadata'))}, not an object`);
  const totalSize = metadata.get('total_size');
  if (totalSize !== undefined && !(Number.isSafeInteger(totalSize) && (totalSize as number) >= 0)) {
    throw wrong(`metadata says that total_size is ${show(totalSize)}, which is not a number of bytes`);
  }

  const weightMap = objectEntries(top.get('weight_map'));
  if (weightMap === undefined) throw wrong(`weight_map is ${show(top.get('weight_map'))}, not an object`);
  for (const [tensor, shard] of weightMap) {
    if (!isPlainFileName(shard)) {
      throw wrong(`weight_map places tensor ${quote(tensor)} in ${show(shard)}, which is not a plain file name`);
    }
  }
  return { name, metadata, weightMap: weightMap as ReadonlyMap<string, string> };
}

/** True for names of files in the same folder on every system: no separators, drives or control characters. */
const isPlainFileName = (value: unknown): boolean =>
  typeof value === 'string' && /^[^/\\:\p{Cc}]+$/u.test(value) && value !== '.' && value !== '..';

/**
 * Reads a sharded set. A shard is opened when one of its tensors is first read, and must hold exactly the tensors that the
 * index places in it. When the last shard is opened, the bytes of all tensors must add up to the index's `total_size`.
 * @throws FormatError, when a tensor is read, for a shard that does not match the index
 */
export function openShards(
  index: ShardIndex,
  openShard: (fileName: string) => Promise<SafetensorsFile>,
): SafetensorsReader {
  const { name: indexName, metadata, weightMap } = index;
  const names = [...weightMap.keys()];
  const opened = new Map<string, Promise<SafetensorsFile>>();
  const unopened = new Set(weightMap.values());
  let foundSize = 0;
  let closed = false;

  async function openChecked(fileName: string): Promise<SafetensorsFile> {
    const shard = await openShard(fileName);
    try {
      checkShard(index, fileName, shard);
      unopened.delete(fileName);
      for (const { byteLength } of shard.entries.values()) foundSize += byteLength;
      const totalSize = metadata.get('total_size');
      if (unopened.size === 0 && totalSize !== undefined && foundSize !== totalSize) {
        throw new FormatError(
          `${indexName}: metadata says that total_size is ${totalSize}, but the tensors of all shards take ${foundSize} bytes`,
        );
      }
    } catch (error) {
      await shard.close();
      throw error;
    }
    return shard;
  }

  async function shardOf(tensor: string): Promise<SafetensorsFile> {
    if (closed) throw new TensorError(`cannot read ${indexName}: it has been closed`);
    const fileName = weightMap.get(tensor);
    if (fileName === undefined) throw noSuchTensor(indexName, tensor, names);
    let shard = opened.get(fileName);
    if (shard === undefined) {
      shard = openChecked(fileName);
      opened.set(fileName, shard);
    }
    return shard;
  }

  const entry = async (name: string) => (await shardOf(name)).entry(name);
  const read = async (name: string, through?: Through) => (await shardOf(name)).read(name, through);

  async function close(): Promise<void> {
    closed = true;
    // A shard that could not be opened has nothing to close; whoever asked for it was told.
    const shards = await Promise.allSettled(opened.values());
    await Promise.all(shards.map(async (shard) => shard.status === 'fulfilled' && shard.value.close()));
  }

  return { name: indexName, names, metadata, entry, read, close, ...derivedMethods(names, read, close) };
}

function checkShard({ name: indexName, weightMap }: ShardIndex, fileName: string, shard: SafetensorsFile): void {
  for (const tensor of shard.names) {
    const place = weightMap.get(tensor);
    if (place === fileName) continue;
    const instead = place === undefined ? 'does not list it' : `places it in ${quote(place)}`;
    throw new FormatError(`${whereIs(shard.name, tensor)} is in this shard, but ${indexName} ${instead}`);
  }
  for (const [tensor, place] of weightMap) {
    if (place === fileName && !shard.entries.has(tensor)) {
      throw new FormatError(`${whereIs(shard.name, tensor)} is not in this shard, where ${indexName} places it`);
    }
  }
}

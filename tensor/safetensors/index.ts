export type { TensorEntry } from './header.ts';
export { openSafetensors, type SafetensorsFile, type SafetensorsReader } from './reader.ts';
export { openShards, parseShardIndex, type ShardIndex } from './shards.ts';
export { fromBlob, fromBytes, type RandomAccess } from './source.ts';
export { type StoredDType, storedDtype } from './storedDtype.ts';
export { type ByteSink, type Named, toSafetensorsBytes, type WriteOptions, writeSafetensors } from './writer.ts';

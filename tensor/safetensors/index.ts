export { refuseSubstitute, substituteIn } from './foreign.ts';
export type { TensorEntry } from './header.ts';
export { parseJson } from './json.ts';
export { quote } from './message.ts';
export { openSafetensors, type SafetensorsFile, type SafetensorsReader, type Through } from './reader.ts';
export { openShards, parseShardIndex, type ShardIndex } from './shards.ts';
export { type ByteSink, fromBlob, fromBytes, type RandomAccess } from './source.ts';
export { type StoredDType, storedByteLength, storedDtype } from './storedDtype.ts';
export { suggestion } from './suggest.ts';
export { decodeLines, decodeText, decodeUtf8, refuseOtherText, withoutMark } from './text.ts';
export {
  joinSafetensors,
  type Named,
  toSafetensorsBytes,
  type WriteOptions,
  writeSafetensors,
} from './writer.ts';

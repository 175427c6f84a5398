/** What needs Node: data on disk. */
export { cachedEncodings, type EncodingOptions } from './data/cachedEncodings.node.ts';
export { decodePicture } from './data/decodePicture.node.ts';
export { openCaptioned, openPairs } from './data/openSources.node.ts';
export { type WritePickAPicOptions, type WrittenPair, writePickAPic } from './data/parquet/writePickAPic.node.ts';
export { readPicture } from './data/readPicture.node.ts';

/** The part of this layer that needs Node: safetensors files on disk. */
export * from './safetensors/index.node.ts';

/** What needs Node: files of adapters on disk. */
export { loadLora, saveLora } from './lora/file.node.ts';
